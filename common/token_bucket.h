#pragma once

// A token bucket: `burst` tokens at once, refilled at `per_second`. A value; the caller gives the
// time.

#include <algorithm>
#include <cstdint>

namespace ptth {

struct Rate {
  double burst;
  double per_second;

  [[nodiscard]] bool operator==(const Rate&) const = default;
};

class TokenBucket {
 public:
  explicit TokenBucket(const Rate& rate) : rate_(rate), tokens_(rate.burst) {}

  // Takes one token, also when none is left.
  void take(uint64_t now_ms) {
    if (earned_ >= 1) {
      earned_ -= 1;
      return;
    }
    refill(now_ms);
    tokens_ -= 1;
  }

  // Tokens for useful work, beside the burst; they are used first.
  void earn(double tokens, double earned_max) { earned_ = std::min(earned_ + tokens, earned_max); }

  [[nodiscard]] bool exhausted() const { return tokens_ < 0; }

  // Three quarters are gone.
  [[nodiscard]] bool nearly_exhausted() const { return tokens_ < rate_.burst / 4; }

 private:
  void refill(uint64_t now_ms) {
    if (now_ms > refilled_ms_ && refilled_ms_ != 0) {
      tokens_ =
          std::min(tokens_ + rate_.per_second * static_cast<double>(now_ms - refilled_ms_) / 1000.0,
                   rate_.burst);
    }
    refilled_ms_ = now_ms;
  }

  Rate rate_;
  double tokens_;
  double earned_ = 0;
  uint64_t refilled_ms_ = 0;
};

}  // namespace ptth
