#pragma once

// The slice of an origin's paths that is served to a gateway: a list of prefixes, whole segments
// each ("/shop" holds /shop and /shop/cart, not /shopping).

#include "common/error.h"

#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// A prefix as it is configured: a path without query, dot segments, encoded slashes or empty
// segments. kConfiguration: what is wrong with it. Gives it as it stands.
[[nodiscard]] Result<std::string> parse_path_prefix(std::string_view text);

class PathScope {
 public:
  // Empty: everything.
  explicit PathScope(const std::vector<std::string>& prefixes);

  // path: as requests have it, with a query or "*". A path that an origin may take for another one
  // (dot segments, also encoded ones) is in no prefix.
  [[nodiscard]] bool holds(std::string_view path) const;

 private:
  std::vector<std::string> prefixes_;  // Without the slash at the end; "" is "/".
};

}  // namespace ptth
