#pragma once

// Follows the frame heads in the bytes that a gateway sends (RFC 9113 section 4.1), without looking
// into the frames: counts them by what they cost, so that reading can stop between two of them.

#include "common/byte_stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ptth {

class FrameScanner {
 public:
  struct Scanned {
    size_t bytes = 0;
    uint32_t frames = 0;   // That begin in them; a block of fields counts by its length.
    uint32_t unknown = 0;  // Of types that RFC 9113 does not define.
  };

  // Goes on from where the last call ended. Stops before a frame once frames_max have begun.
  Scanned scan(Bytes bytes, uint32_t frames_max) {
    Scanned scanned;
    while (scanned.bytes < bytes.size()) {
      if (payload_left_ > 0) {
        const size_t skipped = std::min(payload_left_, bytes.size() - scanned.bytes);
        payload_left_ -= skipped;
        scanned.bytes += skipped;
        continue;
      }
      if (head_seen_ == 0 && scanned.frames >= frames_max) break;
      take_head_byte(bytes[scanned.bytes++], scanned);
    }
    return scanned;
  }

 private:
  static constexpr size_t kLengthSize = 3;
  static constexpr size_t kHeadSize = 9;
  static constexpr uint8_t kHeaders = 0x1;
  static constexpr uint8_t kContinuation = 0x9;  // The last type that is defined.
  // One byte can stand for a whole field.
  static constexpr size_t kFieldBytesPerFrame = 128;

  void take_head_byte(uint8_t byte, Scanned& scanned) {
    if (head_seen_ < kLengthSize) length_ = length_ << 8 | byte;
    if (head_seen_ == kLengthSize) {
      const bool has_fields = byte == kHeaders || byte == kContinuation;
      scanned.frames += 1 + static_cast<uint32_t>(has_fields ? length_ / kFieldBytesPerFrame : 0);
      if (byte > kContinuation) ++scanned.unknown;
    }
    if (++head_seen_ < kHeadSize) return;
    payload_left_ = length_;
    length_ = 0;
    head_seen_ = 0;
  }

  size_t payload_left_ = 0;
  size_t length_ = 0;
  size_t head_seen_ = 0;
};

}  // namespace ptth
