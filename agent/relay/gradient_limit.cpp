#include "agent/relay/gradient_limit.h"

#include <algorithm>

namespace ptth {

namespace {

// A window spans so many latencies, so that long requests are not left out more than short ones.
constexpr double kLatenciesPerWindow = 8;
// A request that is not answered by then ends no window's life.
constexpr double kWindowMaxUs = 10e6;
constexpr double kProbeStep = 0.75;
// A step that lowers the latency by less than this has found the latency without queueing.
constexpr double kStillFaster = 0.88;
// One window never more than halves the limit, as in GradientLimit.java.
constexpr double kGradientMin = 0.5;
// Below this the cause may be another one than queueing: a probe decides.
constexpr double kGradientToDoubt = 0.8;
constexpr double kGradientOfGrowth = 0.95;
constexpr double kBackoff = 0.9;
constexpr double kOverloadShare = 0.1;
// A base that is too high shows in every window, one that is too low only in a probe.
constexpr double kBaseSmoothing = 0.1;
// A latency without queueing that differs by more than this from what was known is news: worth one
// more step of the probe, and another probe soon.
constexpr double kNews = 1.25;
constexpr uint32_t kStepsToBelieveNews = 2;
constexpr uint32_t kGrowthDoublesAfter = 3;
constexpr uint32_t kGrowthDoublingsMax = 2;

}  // namespace

GradientLimit::GradientLimit(const GradientOptions& options, uint64_t now_us)
    : options_(options),
      limit_(std::clamp(options.initial, options.floor, options.ceiling)),
      window_us_(options.window_ms * 1e3) {
  window_.began_us = now_us;
}

uint32_t GradientLimit::limit() const {
  return static_cast<uint32_t>(limit_ + 0.5);
}

void GradientLimit::set_limit(double limit) {
  limit_ =
      std::clamp(limit, static_cast<double>(options_.floor), static_cast<double>(options_.ceiling));
}

void GradientLimit::add(const Sample& sample) {
  // What began before the window, or above its limit, tells of another limit.
  const bool belongs = sample.started_us >= window_.began_us && sample.in_flight <= limit();
  if (sample.outcome == Outcome::kOverloaded) {
    ++window_.overloads;
  } else if (belongs) {
    window_.sum_us += static_cast<double>(sample.first_byte_us - sample.started_us);
    ++window_.samples;
    window_.in_flight_max = std::max(window_.in_flight_max, sample.in_flight);
  }
  if (window_is_full(sample.first_byte_us)) end_window(sample.first_byte_us);
}

bool GradientLimit::window_is_full(uint64_t now_us) const {
  if (window_.samples + window_.overloads < options_.samples_min) return false;
  return static_cast<double>(now_us - window_.began_us) >= window_us_;
}

void GradientLimit::end_window(uint64_t now_us) {
  const Window window = window_;
  window_ = {};
  window_.began_us = now_us;
  const double all = window.samples + window.overloads;
  if (window.overloads > all * kOverloadShare) {
    probe_.active = false;
    growing_windows_ = 0;
    set_limit(limit_ * kBackoff);
    return;
  }
  // At least a microsecond, so that it can be divided by.
  const double latency = std::max(window.sum_us / window.samples, 1.0);
  window_us_ = std::clamp(latency * kLatenciesPerWindow, options_.window_ms * 1e3, kWindowMaxUs);
  const bool is_idle = window.in_flight_max * 2 <= limit();
  if (is_idle) {
    // Nothing queues, and nothing says that more would be taken.
    probe_.active = false;
    growing_windows_ = 0;
    windows_since_probe_ = 0;
    base_us_ = base_us_ == 0 ? latency : (base_us_ + latency) / 2;
  } else if (probe_.active) {
    step_probe(latency);
  } else if (base_us_ == 0 || ++windows_since_probe_ >= options_.probe_windows) {
    begin_probe(latency);
  } else if (window.in_flight_max * 5 >= limit() * 4) {
    track(latency);
  }
}

void GradientLimit::track(double latency_us) {
  if (latency_us < base_us_) base_us_ += (latency_us - base_us_) * kBaseSmoothing;
  const double gradient = std::clamp(base_us_ / latency_us, kGradientMin, 1.0);
  if (gradient < kGradientToDoubt) {
    begin_probe(latency_us);
    return;
  }
  growing_windows_ = gradient >= kGradientOfGrowth ? growing_windows_ + 1 : 0;
  const uint32_t doublings = std::min(growing_windows_ / kGrowthDoublesAfter, kGrowthDoublingsMax);
  const double headroom = std::max(limit_ * options_.headroom_percent / 100.0, 1.0);
  const double target = limit_ * gradient + headroom * (1U << doublings);
  set_limit(limit_ + (target - limit_) * options_.smoothing_percent / 100.0);
}

void GradientLimit::begin_probe(double latency_us) {
  probe_ = {true, limit_, latency_us, latency_us, 0};
  growing_windows_ = 0;
  set_limit(limit_ * kProbeStep);
}

void GradientLimit::step_probe(double latency_us) {
  const bool is_faster = latency_us < probe_.last_us * kStillFaster;
  // Perhaps the origin changed during the probe.
  const bool is_news = base_us_ > 0 && latency_us > base_us_ * kNews;
  probe_.last_us = latency_us;
  probe_.no_faster = is_faster ? 0 : probe_.no_faster + 1;
  const bool goes_on = is_faster || (is_news && probe_.no_faster < kStepsToBelieveNews);
  if (goes_on && limit() > options_.floor) {
    set_limit(limit_ * kProbeStep);
    return;
  }
  const bool confirms = latency_us < base_us_ * kNews && latency_us * kNews > base_us_;
  base_us_ = confirms ? (base_us_ + latency_us) / 2 : latency_us;
  windows_since_probe_ = is_news ? options_.probe_windows - options_.probe_windows / 4 : 0;
  end_probe();
}

// Back to where it began, or to what that latency says of it.
void GradientLimit::end_probe() {
  probe_.active = false;
  const double gradient = std::min(base_us_ / probe_.latency_us, 1.0);
  set_limit(probe_.limit * gradient);
}

}  // namespace ptth
