#include "agent/relay/frame_guard.h"

#include <algorithm>
#include <array>

namespace ptth {

FrameGuard::FrameGuard(const SessionLimits& limits)
    : resets_(limits.resets),
      errors_(limits.errors),
      refusals_(limits.refusals),
      control_frames_(limits.control_frames),
      empty_frames_(limits.empty_frames) {}

FrameGuard::Judgement FrameGuard::judge() const {
  const std::array buckets = {&resets_, &errors_, &refusals_, &control_frames_, &empty_frames_};
  const auto exhausted = [](const TokenBucket* bucket) { return bucket->exhausted(); };
  const auto nearly = [](const TokenBucket* bucket) { return bucket->nearly_exhausted(); };
  if (std::any_of(buckets.begin(), buckets.end(), exhausted)) return Judgement::kCloseNow;
  if (std::any_of(buckets.begin(), buckets.end(), nearly)) return Judgement::kLeaveGracefully;
  return Judgement::kFine;
}

}  // namespace ptth
