#include "tests/gateway/origin_rules.h"

#include "common/authority.h"

#include <algorithm>
#include <string_view>

namespace ptth::dev {

namespace {

std::optional<std::string> wrong_with_origin(std::string_view announced,
                                             const std::vector<std::string>& allowed) {
  const auto parsed = parse_served_origin(announced);
  if (!parsed || to_string(parsed.value()) != announced) {
    return "\"" + std::string(announced) + "\" is no ASCII serialization of an origin (RFC 6454)";
  }
  const bool is_allowed =
      allowed.empty() || std::find(allowed.begin(), allowed.end(), announced) != allowed.end();
  if (is_allowed) return std::nullopt;
  return "this worker may not register " + std::string(announced);
}

}  // namespace

std::optional<std::string> wrong_with_origins(std::span<const nghttp2_origin_entry> announced,
                                              const std::vector<std::string>& allowed) {
  for (const nghttp2_origin_entry& entry : announced) {
    const std::string_view text(reinterpret_cast<const char*>(entry.origin), entry.origin_len);
    if (auto wrong = wrong_with_origin(text, allowed)) return wrong;
  }
  return std::nullopt;
}

}  // namespace ptth::dev
