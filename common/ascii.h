#pragma once

// Bytes of ASCII, whatever the locale says.

#include <string>
#include <string_view>

namespace ptth {

[[nodiscard]] constexpr char ascii_lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + ('a' - 'A')) : byte;
}

[[nodiscard]] inline std::string to_lower_case(std::string_view text) {
  std::string out(text);
  for (char& byte : out)
    byte = ascii_lower(byte);
  return out;
}

[[nodiscard]] constexpr bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

[[nodiscard]] constexpr bool is_letter(char byte) {
  const char lower = ascii_lower(byte);
  return lower >= 'a' && lower <= 'z';
}

// Of a hexadecimal digit in either case; -1 of anything else.
[[nodiscard]] constexpr int hex_value(char byte) {
  if (is_digit(byte)) return byte - '0';
  const char lower = ascii_lower(byte);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace ptth
