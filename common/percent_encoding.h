#pragma once

// Percent-encoding (RFC 3986 section 2.1), in upper case.

#include "common/ascii.h"

#include <string>
#include <string_view>

namespace ptth {

// RFC 3986 section 2.3.
[[nodiscard]] constexpr bool is_unreserved(char byte) {
  return is_digit(byte) || is_letter(byte) ||
         std::string_view("-._~").find(byte) != std::string_view::npos;
}

inline void append_percent_encoded(std::string& out, char byte) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  const auto code = static_cast<unsigned char>(byte);
  out += '%';
  out += kHexDigits[code >> 4U];
  out += kHexDigits[code & 15U];
}

// All but what is unreserved.
inline void append_percent_encoded(std::string& out, std::string_view text) {
  for (const char byte : text) {
    if (is_unreserved(byte)) {
      out += byte;
    } else {
      append_percent_encoded(out, byte);
    }
  }
}

}  // namespace ptth
