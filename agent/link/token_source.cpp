#include "agent/link/token_source.h"

#include "common/retry_after.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace ptth {

namespace {

// A token that ends on its way to the gateway would be refused there.
constexpr Milliseconds kEndMargin{5'000};

uint64_t boot_time_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

HttpTime wall_clock() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

uint64_t count(Milliseconds time) {
  return static_cast<uint64_t>(time.count());
}

}  // namespace

TokenSource::TokenSource(const Surroundings& around, std::string gateway, OauthOptions options,
                         const BackoffOptions& backoff, OnFetched on_fetched)
    : around_(around),
      gateway_(std::move(gateway)),
      options_(std::move(options)),
      backoff_options_(backoff),
      random_(around.random ? around.random : make_random()),
      backoff_(backoff, random_),
      on_fetched_(std::move(on_fetched)),
      expiry_(around.metrics.gauge(
          "ptth_oauth_token_expiry_timestamp_seconds",
          "The end of the access token in use, in seconds since 1970; 0: there is none.",
          {{"gateway", gateway_}})),
      timer_(around.loop, [this] { fetch(); }) {
  if (!around_.clock) around_.clock = boot_time_ms;
  for (const std::string_view outcome : {"ok", "refused", "unavailable"})
    fetches(outcome);
}

TokenSource::~TokenSource() = default;

void TokenSource::start() {
  wait(Milliseconds(0));
}

bool TokenSource::has_token() const {
  return !token_.empty() && around_.clock() < ends_ms_;
}

Result<Secret> TokenSource::token() const {
  if (has_token()) return token_;
  Error error{ErrorKind::kUnavailable, Side::kLocal,
              token_.empty() ? "there is no access token yet"
                             : "the access token has ended, and there is no other yet",
              true};
  if (failure_) {
    error.kind = failure_->kind == ErrorKind::kRefused ? ErrorKind::kRefused : error.kind;
    error.detail += ": " + failure_->detail;
  }
  return error;
}

void TokenSource::note_refused() {
  // Without one the endpoint has refused us, or was not reached; that is being mended already.
  if (!has_token() || call_ || failure_) return;
  if (around_.clock() < fetched_ms_ + count(options_.refetch_min)) return;
  around_.log.info("the gateway refuses our access token, fetching another",
                   {{"gateway", gateway_}});
  fetch();
}

void TokenSource::look() {
  if (!call_ && timer_.running() && around_.clock() > due_ms_) fetch();
}

void TokenSource::fetch() {
  timer_.stop();
  Result<FetchRequest> request = make_token_request(options_);
  if (!request) {
    fail(request.error());
    return;
  }
  call_ = around_.fetcher.fetch(std::move(request).value(), [this](Result<FetchResponse> response) {
    around_.loop.retire(std::move(call_));
    on_answer(std::move(response));
  });
}

void TokenSource::on_answer(Result<FetchResponse> response) {
  if (!response) {
    fail(response.error());
    return;
  }
  const int status = response.value().status;
  const FieldList fields = std::move(response.value().fields);
  const Secret body(std::move(response.value().body));
  Result<AccessToken> granted = read_token_answer(status, body.reveal());
  if (granted) {
    accept(std::move(granted).value());
    return;
  }
  Error error = granted.error();
  error.retry_after = retry_after(fields, wall_clock());
  fail(error);
}

// The next is fetched between two thirds and four fifths of this one's life.
void TokenSource::accept(AccessToken granted) {
  const Milliseconds life = granted.lifetime;
  token_ = std::move(granted.token);
  failure_.reset();
  backoff_ = Backoff(backoff_options_, random_);
  fetched_ms_ = around_.clock();
  ends_ms_ = fetched_ms_ + count(life - std::min(kEndMargin, life / 10));
  const Milliseconds early = life * 2 / 3 + Milliseconds(random_(count(life * 2 / 15)));
  const auto end = std::chrono::system_clock::now() + life;
  expiry_.set(std::chrono::duration<double>(end.time_since_epoch()).count());
  fetches("ok").add();
  around_.log.info("access token fetched",
                   {{"gateway", gateway_}, {"lifetime_s", int64_t{life.count() / 1000}}});
  wait(std::max(early, options_.refetch_min));
  on_fetched_(Outcome::kToken);
}

void TokenSource::fail(const Error& error) {
  failure_ = error;
  fetches(to_string(error.kind)).add();
  const bool refused = error.kind == ErrorKind::kRefused;
  const Milliseconds time = backoff_.after_failure(
      refused ? Backoff::Cause::kRefused : Backoff::Cause::kUnavailable, error.retry_after);
  around_.log.warn_limited(
      has_token() ? "no new access token; the one in use is good still" : "no access token",
      gateway_, {{"detail", error.detail}, {"wait_ms", int64_t{time.count()}}});
  if (!has_token()) expiry_.set(0);
  wait(time);
  on_fetched_(Outcome::kFailed);
}

void TokenSource::wait(Milliseconds time) {
  due_ms_ = around_.clock() + count(time);
  timer_.start(time);
}

Counter& TokenSource::fetches(std::string_view outcome) {
  return around_.metrics.counter("ptth_oauth_token_fetches",
                                 "Requests for an access token, by how they ended.",
                                 {{"gateway", gateway_}, {"outcome", std::string(outcome)}});
}

}  // namespace ptth
