#pragma once

// The first 24 bytes of an HTTP/2 client (RFC 9113 section 3.4). Which side sends them is what sets
// the two dialects of reversal apart (protocols.md section 0).

#include <array>
#include <cstdint>
#include <string_view>

namespace ptth {

inline constexpr std::string_view kClientMagicText = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline constexpr std::array<uint8_t, 24> kClientMagic = [] {
  std::array<uint8_t, 24> magic{};
  for (size_t i = 0; i < magic.size(); ++i)
    magic[i] = static_cast<uint8_t>(kClientMagicText[i]);
  return magic;
}();

static_assert(kClientMagicText.size() == kClientMagic.size());

}  // namespace ptth
