#pragma once

// Follows the frame heads in the bytes that a gateway sends (RFC 9113 section 4.1), without looking
// into the frames.

#include "common/byte_stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ptth {

class FrameScanner {
 public:
  // How many frames of types that RFC 9113 does not define begin in these bytes.
  uint32_t count_unknown(Bytes bytes) {
    uint32_t unknown = 0;
    while (!bytes.empty()) {
      if (payload_left_ > 0) {
        const size_t skipped = std::min(payload_left_, bytes.size());
        payload_left_ -= skipped;
        bytes = bytes.subspan(skipped);
        continue;
      }
      const uint8_t byte = bytes.front();
      bytes = bytes.subspan(1);
      if (head_seen_ < kLengthSize) length_ = length_ << 8 | byte;
      if (head_seen_ == kLengthSize && byte > kLastKnownType) ++unknown;
      if (++head_seen_ < kHeadSize) continue;
      payload_left_ = length_;
      length_ = 0;
      head_seen_ = 0;
    }
    return unknown;
  }

 private:
  static constexpr size_t kLengthSize = 3;
  static constexpr size_t kHeadSize = 9;
  static constexpr uint8_t kLastKnownType = 0x9;  // CONTINUATION

  size_t payload_left_ = 0;
  size_t length_ = 0;
  size_t head_seen_ = 0;
};

}  // namespace ptth
