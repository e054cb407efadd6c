#include "common/authority.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

namespace ptth {

namespace {

constexpr size_t kHostBytesMax = 255;  // RFC 1035 section 2.3.4.

// unreserved and sub-delims of RFC 3986 section 3.2.2, without the comma, on which readers of lists
// would disagree with us.
constexpr std::array<bool, 256> kNameBytes = [] {
  std::array<bool, 256> table{};
  for (unsigned char byte = '0'; byte <= '9'; ++byte)
    table[byte] = true;
  for (unsigned char byte = 'a'; byte <= 'z'; ++byte) {
    table[byte] = true;
    table[static_cast<unsigned char>(byte - ('a' - 'A'))] = true;
  }
  for (const char byte : std::string_view("-._~!$&'()*+;="))
    table[static_cast<unsigned char>(byte)] = true;
  return table;
}();

// Any mix of digits and dots is taken for an address somewhere, so it must be one.
bool looks_like_ipv4(std::string_view host) {
  return std::all_of(host.begin(), host.end(),
                     [](char byte) { return is_digit(byte) || byte == '.'; });
}

// inet_pton wants a terminated string; addresses are short.
template <class Address>
bool parse_address(int family, std::string_view text, Address& address) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) return false;
  std::memcpy(terminated.data(), text.data(), text.size());
  return inet_pton(family, terminated.data(), &address) == 1;
}

bool parse_name(std::string_view text, std::string& host) {
  if (text.empty() || text.size() > kHostBytesMax) return false;
  host.resize(text.size());
  for (size_t index = 0; index < text.size(); ++index) {
    const char byte = text[index];
    const bool escape = byte == '%' && index + 2 < text.size() && hex_value(text[index + 1]) >= 0 &&
                        hex_value(text[index + 2]) >= 0;
    if (!escape && !kNameBytes[static_cast<unsigned char>(byte)]) return false;
    host[index] = ascii_lower(byte);
  }
  in_addr address{};
  return !looks_like_ipv4(host) || parse_address(AF_INET, host, address);
}

// text is "[...]".
bool parse_ipv6(std::string_view text, std::string& host) {
  in6_addr address{};
  if (!parse_address(AF_INET6, text.substr(1, text.size() - 2), address)) return false;
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  if (inet_ntop(AF_INET6, &address, canonical.data(), canonical.size()) == nullptr) return false;
  host.assign("[").append(canonical.data()).append("]");
  return true;
}

std::optional<uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || text.front() == '0') return std::nullopt;
  unsigned port = 0;
  for (const char byte : text) {
    if (!is_digit(byte)) return std::nullopt;
    port = port * 10 + static_cast<unsigned>(byte - '0');
  }
  if (port > UINT16_MAX) return std::nullopt;
  return static_cast<uint16_t>(port);
}

Error bad_authority(std::string_view what) {
  return {ErrorKind::kBadRequest, Side::kGateway, "authority: " + std::string(what), false};
}

Error bad_origin(std::string_view text, std::string_view what) {
  return {ErrorKind::kConfiguration, Side::kLocal,
          "\"" + std::string(text) + "\": " + std::string(what) +
              "; an origin is written like https://app.example, https://app.example:8443 or "
              "https://*.app.example",
          false};
}

bool host_before(const ServedOrigin& origin, std::string_view host) {
  return origin.authority.host < host;
}

}  // namespace

Result<Authority> parse_authority(std::string_view text) {
  Authority authority;
  size_t host_size = 0;
  bool host_is_good = false;
  if (text.starts_with('[')) {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return bad_authority("unclosed bracket");
    host_size = bracket + 1;
    host_is_good = parse_ipv6(text.substr(0, host_size), authority.host);
  } else {
    host_size = std::min(text.find(':'), text.size());
    host_is_good = parse_name(text.substr(0, host_size), authority.host);
  }
  if (!host_is_good) return bad_authority("malformed host");
  if (host_size < text.size()) {
    const auto port =
        text[host_size] == ':' ? parse_port(text.substr(host_size + 1)) : std::nullopt;
    if (!port.has_value()) return bad_authority("malformed port");
    authority.port = *port;
  }
  return authority;
}

std::string to_string(const Authority& authority) {
  if (authority.port == 0) return authority.host;
  return authority.host + ":" + std::to_string(authority.port);
}

Result<ServedOrigin> parse_served_origin(std::string_view text) {
  constexpr std::string_view kSeparator = "://";
  ServedOrigin origin;
  const size_t separator = text.find(kSeparator);
  if (separator == std::string_view::npos) return bad_origin(text, "the scheme is missing");
  const auto scheme = parse_scheme(text.substr(0, separator));
  if (!scheme.has_value()) return bad_origin(text, "the scheme is neither https nor http");
  origin.scheme = *scheme;
  std::string_view rest = text.substr(separator + kSeparator.size());
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    return bad_origin(text, "an origin has no path");
  }
  if (rest.find('@') != std::string_view::npos) return bad_origin(text, "an origin has no user");
  if (rest.starts_with("*.")) {
    origin.is_wildcard = true;
    rest.remove_prefix(2);
  }
  if (rest.find('*') != std::string_view::npos) {
    return bad_origin(text, "a wildcard stands for the whole first label only");
  }
  Result<Authority> authority = parse_authority(rest);
  if (!authority.ok()) return bad_origin(text, authority.error().detail);
  origin.authority = std::move(authority).value();
  if (origin.is_wildcard &&
      (origin.authority.host.front() == '[' || looks_like_ipv4(origin.authority.host))) {
    return bad_origin(text, "an address has no labels for a wildcard");
  }
  if (origin.authority.port == default_port(origin.scheme)) origin.authority.port = 0;
  return origin;
}

std::string to_string(const ServedOrigin& origin) {
  return std::string(to_string(origin.scheme)) + (origin.is_wildcard ? "://*." : "://") +
         to_string(origin.authority);
}

Result<ServedAuthorities> ServedAuthorities::parse(const std::vector<std::string>& origins) {
  ServedAuthorities served;
  for (const std::string& text : origins) {
    Result<ServedOrigin> origin = parse_served_origin(text);
    if (!origin.ok()) return origin.error();
    served.origins_.push_back(std::move(origin).value());
  }
  std::stable_sort(served.origins_.begin(), served.origins_.end(),
                   [](const ServedOrigin& left, const ServedOrigin& right) {
                     return left.authority.host < right.authority.host;
                   });
  return served;
}

bool ServedAuthorities::matches(Scheme scheme, const Authority& authority) const {
  if (matches_all()) return true;
  const uint16_t scheme_port = default_port(scheme);
  const bool port_is_default = authority.port == 0 || authority.port == scheme_port;
  const auto matches_port = [&authority, scheme_port, port_is_default](const ServedOrigin& origin) {
    const uint16_t own = default_port(origin.scheme);
    const uint16_t port = origin.authority.port == 0 ? own : origin.authority.port;
    return port == authority.port || (port_is_default && (port == own || port == scheme_port));
  };
  const auto find = [this, &matches_port](std::string_view host, bool wildcard) {
    for (auto at = std::lower_bound(origins_.begin(), origins_.end(), host, host_before);
         at != origins_.end() && at->authority.host == host; ++at) {
      if (at->is_wildcard == wildcard && matches_port(*at)) return true;
    }
    return false;
  };
  const std::string_view host = authority.host;
  if (find(host, false)) return true;
  const size_t dot = host.find('.');
  return dot != 0 && dot != std::string_view::npos && find(host.substr(dot + 1), true);
}

}  // namespace ptth
