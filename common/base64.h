#pragma once

// Base64 with padding (RFC 4648 section 4).

#include <optional>
#include <string>
#include <string_view>

namespace ptth {

// At most one allocation.
void append_base64(std::string& out, std::string_view bytes);
// Only what append_base64 would have written; anything else gives nothing.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace ptth
