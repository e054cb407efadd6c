#pragma once

// The latest streams that we reset ourselves. Frames for them may still be on their way, so they
// are no fault of the gateway (RFC 9113 section 5.1, "closed").

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace ptth {

class OwnResets {
 public:
  void add(int32_t stream_id) {
    ids_[next_] = stream_id;
    next_ = (next_ + 1) % kRemembered;
  }

  [[nodiscard]] bool contains(int32_t stream_id) const {
    return std::find(ids_.begin(), ids_.end(), stream_id) != ids_.end();
  }

 private:
  static constexpr size_t kRemembered = 256;
  std::array<int32_t, kRemembered> ids_{};
  size_t next_ = 0;
};

}  // namespace ptth
