#pragma once

// Dates as HTTP writes them (RFC 9110 section 5.6.7).

#include <chrono>
#include <optional>
#include <string_view>

namespace ptth {

using HttpTime = std::chrono::sys_seconds;

// "Sun, 06 Nov 1994 08:49:37 GMT", and the two obsolete forms that a recipient must read:
// "Sunday, 06-Nov-94 08:49:37 GMT" and "Sun Nov  6 08:49:37 1994". The day of the week is not held
// against the date.
[[nodiscard]] std::optional<HttpTime> parse_http_date(std::string_view text);

}  // namespace ptth
