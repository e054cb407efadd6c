#include "agent/gateway_finder.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace ptth {

namespace {

// A look is up to so much of its wait early, so that agents do not come together.
constexpr int kJitterPart = 10;
constexpr uint32_t kDoublingsMax = 16;

}  // namespace

GatewayFinder::GatewayFinder(const Surroundings& around, std::string name,
                             const DiscoveryOptions& options,
                             std::unique_ptr<DiscoverySource> source,
                             std::vector<FoundGateway> known, std::function<void()> on_change)
    : around_(around),
      name_(std::move(name)),
      options_(options),
      source_(std::move(source)),
      on_change_(std::move(on_change)),
      found_(std::move(known)),
      found_gauge_(around_.metrics.gauge("ptth_discovery_gateways", "Gateways that were found.",
                                         {{"discovery", name_}})),
      last_success_(around_.metrics.gauge(
          "ptth_discovery_last_success_timestamp_seconds",
          "When gateways were last looked up, in seconds since 1970.", {{"discovery", name_}})),
      next_look_(around_.loop, [this] { look(); }),
      deadline_(around_.loop, [this] {
        source_->cancel();
        on_looked(Error{ErrorKind::kTimeout, Side::kGateway,
                        "no answer within " + std::to_string(options_.timeout.count()) + " ms",
                        true});
      }) {
  if (found_.empty()) found_ = source_->remembered();
  found_gauge_.set(static_cast<double>(found_.size()));
  for (const char* outcome : {"ok", "unchanged", "failed"})
    static_cast<void>(looks(outcome));
  look();
}

GatewayFinder::~GatewayFinder() {
  source_->cancel();
  source_.reset();
  around_.metrics.forget("discovery", name_);
}

void GatewayFinder::look() {
  next_look_.stop();
  is_looking_ = true;
  looked_ms_ = around_.loop.now_ms();
  deadline_.start(options_.timeout);
  source_->look([this](Result<DiscoverySource::Looked> looked) { on_looked(std::move(looked)); });
}

void GatewayFinder::look_soon() {
  if (is_looking_) return;
  const uint64_t earliest = looked_ms_ + static_cast<uint64_t>(options_.refresh_min.count());
  if (earliest >= next_look_ms_) return;
  const uint64_t now = around_.loop.now_ms();
  next_look_ms_ = std::max(earliest, now);
  next_look_.start(Milliseconds(next_look_ms_ - now));
}

void GatewayFinder::on_looked(Result<DiscoverySource::Looked> looked) {
  is_looking_ = false;
  deadline_.stop();
  if (!looked) {
    on_failed(looked.error());
    return;
  }
  failures_ = 0;
  last_success_.set(static_cast<double>(std::time(nullptr)));
  DiscoverySource::Looked& now = looked.value();
  look_after(std::clamp(now.good_for.value_or(options_.refresh), options_.refresh_min,
                        options_.refresh_max));
  const bool is_new = !now.is_unchanged && now.gateways != found_;
  looks(is_new ? "ok" : "unchanged").add();
  if (!is_new) return;
  found_ = std::move(now.gateways);
  found_gauge_.set(static_cast<double>(found_.size()));
  around_.log.info("gateways found", {{"discovery", name_}, {"gateways", uint64_t{found_.size()}}});
  on_change_();
}

void GatewayFinder::on_failed(const Error& error) {
  looks("failed").add();
  const auto times = int64_t{1} << std::min(failures_++, kDoublingsMax);
  Milliseconds wait = std::min(options_.refresh_min * times, options_.refresh_max);
  wait = std::clamp(error.retry_after, wait, options_.refresh_max);
  around_.log.warn_limited("gateways cannot be looked up; those that were found stay", name_,
                           {{"detail", error.detail},
                            {"known", uint64_t{found_.size()}},
                            {"wait_ms", int64_t{wait.count()}}});
  look_after(wait);
}

void GatewayFinder::look_after(Milliseconds wait) {
  wait -= Milliseconds(around_.random(static_cast<uint64_t>(wait.count() / kJitterPart)));
  next_look_ms_ = around_.loop.now_ms() + static_cast<uint64_t>(wait.count());
  next_look_.start(wait);
}

Counter& GatewayFinder::looks(const char* outcome) {
  return around_.metrics.counter("ptth_discovery_looks",
                                 "Looks for gateways, by what came of them.",
                                 {{"discovery", name_}, {"outcome", outcome}});
}

}  // namespace ptth
