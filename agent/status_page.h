#pragma once

// The page for people, as one self-contained file: agent/status_page.html, put into the binary by
// cmake/embed.cmake. It draws what /status says.

#include <string_view>

namespace ptth {

extern const std::string_view kStatusPage;

}  // namespace ptth
