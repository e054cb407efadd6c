#pragma once

// Base64 with padding (RFC 4648 section 4).

#include <string>
#include <string_view>

namespace ptth {

// At most one allocation.
void append_base64(std::string& out, std::string_view bytes);

}  // namespace ptth
