#pragma once

// What a worker of h2-reverse may announce in its ORIGIN frame (protocols.md section 4).

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace ptth::dev {

// The first thing that is wrong, in one line: each is the ASCII serialization of an origin
// (RFC 6454), or a wildcard of one, and one of those that are allowed (empty: any).
[[nodiscard]] std::optional<std::string> wrong_with_origins(
    std::span<const nghttp2_origin_entry> announced, const std::vector<std::string>& allowed);

}  // namespace ptth::dev
