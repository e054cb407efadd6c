#pragma once

// Keeps an event that a hostile gateway can cause at will from filling the log: a token bucket that
// counts what it holds back. Log::write_limited keeps one per message and gateway; use it directly
// for anything else that repeats.

#include "common/loop.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace ptth {

class RepeatLimiter {
 public:
  struct Options {
    uint32_t burst = 5;         // So many at once.
    Milliseconds every{5'000};  // And then one in each such time.
  };

  RepeatLimiter() : RepeatLimiter(Options()) {}

  explicit RepeatLimiter(const Options& options)
      : every_ms_(static_cast<uint64_t>(std::max<int64_t>(options.every.count(), 1))),
        burst_ms_(every_ms_ * std::max<uint32_t>(options.burst, 1)),
        credit_ms_(burst_ms_) {}

  // Nothing: say nothing this time. Else: say it, and that so many were held back since the last
  // one.
  [[nodiscard]] std::optional<uint64_t> admit(uint64_t now_ms) {
    if (now_ms > last_ms_) {
      credit_ms_ = std::min(burst_ms_, credit_ms_ + (now_ms - last_ms_));
      last_ms_ = now_ms;
    }
    if (credit_ms_ < every_ms_) {
      ++held_back_;
      return std::nullopt;
    }
    credit_ms_ -= every_ms_;
    const uint64_t held_back = held_back_;
    held_back_ = 0;
    return held_back;
  }

 private:
  uint64_t every_ms_;
  uint64_t burst_ms_;
  uint64_t credit_ms_;
  uint64_t last_ms_ = 0;
  uint64_t held_back_ = 0;
};

}  // namespace ptth
