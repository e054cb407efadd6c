#pragma once

// An http or https URI as a request needs it: where to connect, and what to ask for there. For what
// configuration and gateways name as a whole; requests bring their parts apart.

#include "common/authority.h"
#include "common/error.h"
#include "common/http_rules.h"

#include <string>
#include <string_view>

namespace ptth {

struct HttpUri {
  Scheme scheme = Scheme::kHttps;
  Authority authority;
  std::string target;  // Path and query, as sent in a request; "/" if the URI has neither.

  bool operator==(const HttpUri&) const = default;

  // The one that was given, or the scheme's own.
  [[nodiscard]] uint16_t port() const;
};

// An absolute URI of bytes 0x21 to 0x7e, without user and fragment. Nothing is normalised but the
// host's case. kConfiguration with what is wrong; the text itself is for the caller to add.
[[nodiscard]] Result<HttpUri> parse_http_uri(std::string_view text);
[[nodiscard]] std::string to_string(const HttpUri& uri);

}  // namespace ptth
