#include "tests/gateway/challenge_check.h"

#include "common/structured_fields.h"

#include <ctime>
#include <random>
#include <string>
#include <utility>

namespace ptth::dev {

namespace {

std::string make_nonce() {
  constexpr size_t kNonceBytes = 32;
  std::random_device random;
  std::string bytes;
  for (size_t i = 0; i < kNonceBytes; ++i)
    bytes += static_cast<char>(random() & 0xffU);
  return to_string(structured::Item{structured::ByteSequence{std::move(bytes)}});
}

}  // namespace

ChallengeCheck::ChallengeCheck(Loop& loop, const ChallengeRules& rules, WorkerSession& worker,
                               Listener& listener)
    : rules_(rules),
      worker_(worker),
      listener_(listener),
      timer_(loop, [this] { give_up("it did not answer in time"); }) {
  asked_.nonce = make_nonce();
  asked_.exporter = worker.options().exporter;
  head_.method = "GET";
  head_.scheme = "https";
  head_.authority = rules.authority;
  head_.path = rules.path;
  head_.fields.add("ptth-challenge", asked_.nonce);
  timer_.start(kTimeout);
  call_ = worker.call(head_, {}, *this);
}

ChallengeCheck::~ChallengeCheck() = default;

void ChallengeCheck::on_response_head(const ResponseHead& head) {
  answer_.status = head.status;
  answer_.fields = head.fields;
}

void ChallengeCheck::on_response_body(Bytes bytes) {
  answer_.body.append(bytes.begin(), bytes.end());
  if (answer_.body.size() > kBodyBytesMax) give_up("its answer is too long");
}

void ChallengeCheck::on_response_end(const FieldList& /*trailers*/) {
  if (finished_) return;
  asked_.now = std::time(nullptr);
  finish(judge_challenge(rules_, asked_, answer_));
}

void ChallengeCheck::on_response_failed(const Error& error) {
  give_up("it did not answer: " + error.detail);
}

void ChallengeCheck::give_up(std::string why) {
  ChallengeVerdict verdict;
  verdict.wrong = std::move(why);
  finish(verdict);
}

void ChallengeCheck::finish(const ChallengeVerdict& verdict) {
  if (std::exchange(finished_, true)) return;
  timer_.stop();
  listener_.on_challenge_judged(worker_, verdict);
}

}  // namespace ptth::dev
