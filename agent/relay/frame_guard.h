#pragma once

// Counts what a gateway sends against the frame budgets of SessionLimits (security.md, "HTTP/2
// session"): legitimate work earns tokens back, floods run dry. The session asks after each read
// whether to warn the gateway off or to close.

#include "agent/relay/session_limits.h"
#include "common/token_bucket.h"

#include <cstddef>
#include <cstdint>

namespace ptth {

class FrameGuard {
 public:
  explicit FrameGuard(const SessionLimits& limits);

  enum class Judgement { kFine, kLeaveGracefully, kCloseNow };

  void note_reset(uint64_t now_ms) { resets_.take(now_ms); }

  void note_error(uint64_t now_ms) { errors_.take(now_ms); }

  void note_refusal(uint64_t now_ms) { refusals_.take(now_ms); }

  void note_control_frame(uint64_t now_ms) { control_frames_.take(now_ms); }

  void note_empty_frame(uint64_t now_ms) { empty_frames_.take(now_ms); }

  // Gateways return credit in pieces, for the stream and for the link: HAProxy for little more than
  // a kilobyte at a time. What we send pays for that.
  void earn_data(size_t bytes) {
    empty_frames_.earn(2 + static_cast<double>(bytes) / kBytesPerWindowUpdate, kEarnedMax);
  }

  // An exchange that ended well pays for one that was given up.
  void earn_exchange() {
    resets_.earn(1, kEarnedMax / 1000);
    errors_.earn(0.1, kEarnedMax / 1000);
    refusals_.earn(1, kEarnedMax / 1000);
    control_frames_.earn(2, kEarnedMax / 1000);
    empty_frames_.earn(2, kEarnedMax);
  }

  [[nodiscard]] Judgement judge() const;

 private:
  static constexpr double kBytesPerWindowUpdate = 256;
  static constexpr double kEarnedMax = 100'000;

  TokenBucket resets_;
  TokenBucket errors_;
  TokenBucket refusals_;
  TokenBucket control_frames_;
  TokenBucket empty_frames_;
};

}  // namespace ptth
