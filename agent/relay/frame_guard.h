#pragma once

// Counts what a gateway sends against the frame budgets of SessionLimits (security.md, "HTTP/2
// session"): legitimate work earns tokens back, floods run dry. The session asks after each read
// whether to warn the gateway off or to close.

#include "agent/relay/http2_session.h"
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

  void note_control_frame(uint64_t now_ms) { control_frames_.take(now_ms); }

  void note_empty_frame(uint64_t now_ms) { empty_frames_.take(now_ms); }

  // A DATA frame of ours may be answered by two WINDOW_UPDATEs.
  void earn_data_frame() { empty_frames_.give_back(2); }

  // An exchange that ended well pays for one that was given up.
  void earn_exchange() {
    resets_.give_back(1);
    errors_.give_back(0.1);
    control_frames_.give_back(2);
    empty_frames_.give_back(2);
  }

  [[nodiscard]] Judgement judge() const;

 private:
  TokenBucket resets_;
  TokenBucket errors_;
  TokenBucket control_frames_;
  TokenBucket empty_frames_;
};

}  // namespace ptth
