#include "agent/link/backoff.h"

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

namespace ptth {

namespace {

constexpr uint32_t kFailuresMax = 32;  // More doublings change nothing.

Milliseconds doubled(Milliseconds first, uint32_t times, Milliseconds most) {
  Milliseconds bound = first;
  for (uint32_t i = 0; i < times && bound < most; ++i)
    bound *= 2;
  return std::min(bound, most);
}

Random random_from(std::mt19937_64 engine) {
  return [engine](uint64_t bound) mutable -> uint64_t {
    if (bound == UINT64_MAX) return engine();
    // Drawn again where the remainder would favour small numbers. The standard leaves
    // uniform_int_distribution to the library; this gives the same numbers everywhere.
    const uint64_t count = bound + 1;
    const uint64_t unfair = (UINT64_MAX % count + 1) % count;
    uint64_t drawn = engine();
    while (drawn > UINT64_MAX - unfair)
      drawn = engine();
    return drawn % count;
  };
}

}  // namespace

Random make_random() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  return random_from(std::mt19937_64(seed));
}

Random make_seeded_random(uint64_t seed) {
  return random_from(std::mt19937_64(seed));
}

Backoff::Cause Backoff::cause_of(const Error& error) {
  if (error.kind == ErrorKind::kRefused || error.kind == ErrorKind::kAbuse) return Cause::kRefused;
  // What is wrong on our side, such as a file, can be mended at any time, also by machines.
  if (error.kind == ErrorKind::kConfiguration && error.side == Side::kGateway) {
    return Cause::kConfiguration;
  }
  return Cause::kUnavailable;
}

Backoff::Backoff(const BackoffOptions& options, Random random)
    : options_(options),
      random_(std::move(random)),
      at_once_credit_(options.at_once_per * options.at_once_burst) {
  options_.min = std::max(options_.min, Milliseconds(1));
  options_.max = std::max(options_.max, options_.min);
  options_.refused_min = std::max(options_.refused_min, options_.min);
}

Milliseconds Backoff::after_failure(Cause cause, Milliseconds retry_after) {
  Milliseconds floor{0};
  Milliseconds spread = doubled(options_.min, failures_, options_.max);
  if (cause != Cause::kUnavailable) {
    floor = options_.refused_min;
    const Milliseconds most = std::max(options_.max, 2 * floor);
    spread = doubled(2 * floor, failures_, most) - floor;
  }
  // What is asked for is a floor, with our jitter behind it: many agents were told the same.
  floor = std::max(floor, std::min(retry_after, options_.retry_after_max));
  failures_ = std::min(failures_ + 1, kFailuresMax);
  healthy_ = Milliseconds(0);
  return floor + Milliseconds(random_(static_cast<uint64_t>(spread.count())));
}

std::optional<Milliseconds> Backoff::at_once() {
  if (at_once_credit_ < options_.at_once_per) return std::nullopt;
  at_once_credit_ -= options_.at_once_per;
  const auto jitter = static_cast<uint64_t>(std::max(options_.at_once_jitter, {}).count());
  return Milliseconds(random_(jitter));
}

void Backoff::was_useful(uint64_t exchanges) {
  if (exchanges == 0) return;
  // No more than the burst counts.
  const auto earned = static_cast<uint32_t>(std::min<uint64_t>(exchanges, UINT16_MAX));
  at_once_credit_ = std::min(at_once_credit_ + options_.at_once_per * earned,
                             options_.at_once_per * std::max(options_.at_once_burst, 1U));
}

void Backoff::was_attached(Milliseconds duration) {
  at_once_credit_ =
      std::min(at_once_credit_ + duration, options_.at_once_per * options_.at_once_burst);
  healthy_ += duration;
  if (healthy_ >= options_.healthy_after) failures_ = 0;
}

}  // namespace ptth
