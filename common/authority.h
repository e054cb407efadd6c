#pragma once

// The authority of a request (RFC 3986 section 3.2, without userinfo), parsed strictly, and the
// list of origins that this agent serves ("https://app.example"), against which it is matched.

#include "common/error.h"
#include "common/http_rules.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

struct Authority {
  // A name in lower case, an IPv4 address, or an IPv6 address in brackets in its canonical form
  // (RFC 5952).
  std::string host;
  uint16_t port = 0;  // 0: not given.

  bool operator==(const Authority&) const = default;
};

// kBadRequest for: nothing, userinfo, a comma, bytes that no host has, broken percent-encoding, a
// malformed IPv6 address, numbers with dots that are no IPv4 address, a port that is empty, has a
// leading zero, or is not 1 to 65535.
[[nodiscard]] Result<Authority> parse_authority(std::string_view text);
[[nodiscard]] std::string to_string(const Authority& authority);

// Scheme, host and port of a web origin (RFC 6454), or of all those with one more label at the
// front ("https://*.example.com").
struct ServedOrigin {
  Scheme scheme = Scheme::kHttps;
  Authority authority;  // Without the "*." of a wildcard; port 0 if it is the scheme's own.
  bool is_wildcard = false;

  bool operator==(const ServedOrigin&) const = default;
};

// kConfiguration, with what is wrong and how to write it, for anything but scheme, host and port.
[[nodiscard]] Result<ServedOrigin> parse_served_origin(std::string_view text);
// RFC 6454 section 6.2: the scheme's own port is left out.
[[nodiscard]] std::string to_string(const ServedOrigin& origin);

// Which authorities are answered here. Empty: all.
class ServedAuthorities {
 public:
  ServedAuthorities() = default;
  [[nodiscard]] static Result<ServedAuthorities> parse(const std::vector<std::string>& origins);

  [[nodiscard]] bool matches_all() const { return origins_.empty(); }

  // A missing port equals the port of the request's scheme, or of the served origin's: gateways
  // that end TLS do not all tell the scheme that the user saw.
  [[nodiscard]] bool matches(Scheme scheme, const Authority& authority) const;

  [[nodiscard]] const std::vector<ServedOrigin>& origins() const { return origins_; }

  [[nodiscard]] bool operator==(const ServedAuthorities&) const = default;

 private:
  std::vector<ServedOrigin> origins_;  // Ordered by host.
};

}  // namespace ptth
