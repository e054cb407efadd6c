#pragma once

// Strict UTF-8 decoding (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. For
// text that leaves the process (log lines, label values).

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ptth {

struct Utf8Character {
  char32_t code = 0;
  size_t size = 0;  // In bytes; 0: the byte at this place does not begin a valid character.
};

// The character that begins at the first byte of text, which is not empty.
[[nodiscard]] inline Utf8Character decode_utf8(std::string_view text) {
  const auto byte = [text](size_t index) -> uint32_t { return static_cast<uint8_t>(text[index]); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  size_t size = 0;
  uint32_t code = 0;
  uint32_t least = 0;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2, code = first & 0x1f, least = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    size = 3, code = first & 0x0f, least = 0x800;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4, code = first & 0x07, least = 0x10000;
  }
  if (size == 0 || text.size() < size) return {};
  for (size_t index = 1; index < size; ++index) {
    if ((byte(index) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte(index) & 0x3f);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < least || code > 0x10ffff || surrogate) return {};
  return {code, size};
}

}  // namespace ptth
