#include "agent/relay/codel.h"

#include <cmath>

namespace ptth {

namespace {

// Drops that began again within so many intervals go on at the rate that they had (RFC 8289
// section 5.5).
constexpr uint64_t kMemoryIntervals = 16;

}  // namespace

bool CoDel::stands(Milliseconds waited, uint64_t now_ms, bool is_last) {
  if (waited < options_.target || is_last) {
    stands_from_ms_ = 0;
    return false;
  }
  const auto interval = static_cast<uint64_t>(options_.interval.count());
  if (stands_from_ms_ == 0) stands_from_ms_ = now_ms + interval;
  return now_ms >= stands_from_ms_;
}

uint64_t CoDel::next_drop(uint64_t from_ms) const {
  const auto interval = static_cast<double>(options_.interval.count());
  return from_ms + static_cast<uint64_t>(interval / std::sqrt(static_cast<double>(count_)));
}

bool CoDel::drops(Milliseconds waited, uint64_t now_ms, bool is_last) {
  if (options_.target.count() == 0) return false;
  const bool standing = stands(waited, now_ms, is_last);
  if (dropping_) {
    dropping_ = standing;
    if (!standing || now_ms < next_drop_ms_) return false;
    ++count_;
    next_drop_ms_ = next_drop(next_drop_ms_);
    return true;
  }
  if (!standing) return false;
  dropping_ = true;
  const uint32_t recent = count_ - last_count_;
  const uint64_t memory = kMemoryIntervals * static_cast<uint64_t>(options_.interval.count());
  count_ = recent > 1 && now_ms < next_drop_ms_ + memory ? recent : 1;
  next_drop_ms_ = next_drop(now_ms);
  last_count_ = count_;
  return true;
}

}  // namespace ptth
