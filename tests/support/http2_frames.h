#pragma once

// HTTP/2 frames as a test writes and reads them: any bytes can be sent, also wrong ones.

#include "common/byte_stream.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

struct nghttp2_hd_inflater;

namespace ptth {

enum FrameType : uint8_t {
  kFrameData = 0,
  kFrameHeaders = 1,
  kFramePriority = 2,
  kFrameReset = 3,
  kFrameSettings = 4,
  kFramePing = 6,
  kFrameGoaway = 7,
  kFrameWindowUpdate = 8,
  kFrameContinuation = 9,
  kFrameOrigin = 12,
};

inline constexpr uint8_t kFlagEndStream = 0x1;
inline constexpr uint8_t kFlagAck = 0x1;
inline constexpr uint8_t kFlagEndHeaders = 0x4;

using HeaderFields = std::vector<std::pair<std::string, std::string>>;

struct TestFrame {
  uint8_t type = 0;
  uint8_t flags = 0;
  int32_t stream_id = 0;
  std::vector<uint8_t> payload;
  HeaderFields fields;  // Of HEADERS, decoded.

  [[nodiscard]] bool ends_stream() const { return (flags & kFlagEndStream) != 0; }

  // Big-endian, at that place of the payload.
  [[nodiscard]] uint32_t number_at(size_t offset) const;
  // Empty if there is no such field.
  [[nodiscard]] std::string field(const std::string& name) const;
};

[[nodiscard]] std::vector<uint8_t> make_frame(uint8_t type, uint8_t flags, int32_t stream_id,
                                              Bytes payload);
// Literals without indexing, so that a test can send any name and value.
[[nodiscard]] std::vector<uint8_t> encode_fields(const HeaderFields& fields);
[[nodiscard]] std::vector<uint8_t> big_endian(uint32_t number);

// Takes the written bytes of a session apart.
class FrameReader {
 public:
  FrameReader();
  ~FrameReader();
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;
  FrameReader(FrameReader&&) = delete;
  FrameReader& operator=(FrameReader&&) = delete;

  [[nodiscard]] std::vector<TestFrame> read(Bytes bytes);

 private:
  [[nodiscard]] HeaderFields decode(Bytes block);

  std::vector<uint8_t> pending_;
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace ptth
