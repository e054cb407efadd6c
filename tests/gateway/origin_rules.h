#pragma once

// Which worker may register which origins: in the path of a hello of ptth, or in the ORIGIN frame
// of h2-reverse (protocols.md sections 2 and 4).

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace ptth::dev {

struct Registration {
  std::string worker;  // Empty: any worker.
  std::string origin;
};

struct OriginRules {
  std::vector<Registration> allowed;  // Empty: everything, to everyone.

  [[nodiscard]] bool allow(std::string_view worker, std::string_view origin) const;
};

// "ORIGIN", or "WORKER=ORIGIN".
[[nodiscard]] Registration parse_registration(const std::string& text);

// In one line; the worker by its name, if it has one.
[[nodiscard]] std::string may_not_register(std::string_view worker, std::string_view origin);

// The first thing that is wrong, in one line: each is the ASCII serialization of an origin
// (RFC 6454), or a wildcard of one, and one that this worker may register.
[[nodiscard]] std::optional<std::string> wrong_with_origins(
    std::span<const nghttp2_origin_entry> announced, const OriginRules& rules,
    std::string_view worker);

}  // namespace ptth::dev
