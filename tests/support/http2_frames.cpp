#include "tests/support/http2_frames.h"

#include "common/check.h"

#include <nghttp2/nghttp2.h>

namespace ptth {

namespace {

constexpr size_t kFrameHeadSize = 9;

// RFC 7541 section 5.1 with a 7-bit prefix, and section 5.2 without Huffman.
void append_string(std::vector<uint8_t>& out, const std::string& text) {
  constexpr size_t kPrefixMax = 127;
  if (text.size() < kPrefixMax) {
    out.push_back(static_cast<uint8_t>(text.size()));
  } else {
    out.push_back(kPrefixMax);
    size_t rest = text.size() - kPrefixMax;
    for (; rest >= 128; rest /= 128)
      out.push_back(static_cast<uint8_t>(rest % 128 + 128));
    out.push_back(static_cast<uint8_t>(rest));
  }
  out.insert(out.end(), text.begin(), text.end());
}

}  // namespace

uint32_t TestFrame::number_at(size_t offset) const {
  uint32_t number = 0;
  for (size_t byte = 0; byte < 4; ++byte)
    number = number << 8 | payload.at(offset + byte);
  return number;
}

std::string TestFrame::field(const std::string& name) const {
  for (const auto& [field_name, value] : fields) {
    if (field_name == name) return value;
  }
  return {};
}

std::vector<uint8_t> big_endian(uint32_t number) {
  return {static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
          static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
}

std::vector<uint8_t> make_frame(uint8_t type, uint8_t flags, int32_t stream_id, Bytes payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::vector<uint8_t> frame = {static_cast<uint8_t>(size >> 16), static_cast<uint8_t>(size >> 8),
                                static_cast<uint8_t>(size), type, flags};
  const std::vector<uint8_t> id = big_endian(static_cast<uint32_t>(stream_id));
  frame.insert(frame.end(), id.begin(), id.end());
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

std::vector<uint8_t> encode_fields(const HeaderFields& fields) {
  std::vector<uint8_t> block;
  for (const auto& [name, value] : fields) {
    block.push_back(0);
    append_string(block, name);
    append_string(block, value);
  }
  return block;
}

FrameReader::FrameReader() {
  CHECK_INVARIANT(nghttp2_hd_inflate_new(&inflater_) == 0);
}

FrameReader::~FrameReader() {
  nghttp2_hd_inflate_del(inflater_);
}

std::vector<TestFrame> FrameReader::read(Bytes bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  std::vector<TestFrame> frames;
  size_t at = 0;
  while (pending_.size() - at >= kFrameHeadSize) {
    const uint8_t* head = pending_.data() + at;
    const size_t size = size_t{head[0]} << 16 | size_t{head[1]} << 8 | head[2];
    if (pending_.size() - at < kFrameHeadSize + size) break;
    TestFrame frame;
    frame.type = head[3];
    frame.flags = head[4];
    frame.stream_id = static_cast<int32_t>(
        (uint32_t{head[5]} << 24 | uint32_t{head[6]} << 16 | uint32_t{head[7]} << 8 | head[8]) &
        0x7fffffffU);
    frame.payload.assign(head + kFrameHeadSize, head + kFrameHeadSize + size);
    if (frame.type == kFrameHeaders) frame.fields = decode(frame.payload);
    frames.push_back(std::move(frame));
    at += kFrameHeadSize + size;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(at));
  return frames;
}

HeaderFields FrameReader::decode(Bytes block) {
  HeaderFields fields;
  for (;;) {
    nghttp2_nv field{};
    int flags = 0;
    const ssize_t used =
        nghttp2_hd_inflate_hd2(inflater_, &field, &flags, block.data(), block.size(), 1);
    CHECK_INVARIANT(used >= 0);
    block = block.subspan(static_cast<size_t>(used));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      fields.emplace_back(std::string(reinterpret_cast<char*>(field.name), field.namelen),
                          std::string(reinterpret_cast<char*>(field.value), field.valuelen));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  return fields;
}

}  // namespace ptth
