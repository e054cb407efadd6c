#pragma once

// Where things are, as people write it: the gateway's URL, the origin's, the admin interface's
// address. An error never repeats a URL that carries a password.

#include "common/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace ptth {

struct HostPort {
  std::string host;   // Lower case; an IPv6 address without its brackets.
  uint16_t port = 0;  // 0: not given.
};

// "name", "name:80", "192.0.2.1:80", "[2001:db8::1]:80". Narrower than the authority of a request:
// this is a place to connect to.
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text);
// Adds the brackets that an IPv6 address needs.
[[nodiscard]] std::string show_host_port(std::string_view host, uint16_t port);

struct GatewayUrl {
  std::string host;
  uint16_t port = 443;
  bool tls = true;
};

// "https://host" or "https://host:port".
[[nodiscard]] Result<GatewayUrl> parse_gateway_url(std::string_view text);
[[nodiscard]] std::string show_gateway_url(const GatewayUrl& url);

struct OriginUrl {
  std::string host;
  uint16_t port = 0;
  std::string unix_path;  // Instead of host and port.
};

// "http://host:port", "unix:/path", and what people type: "3000", ":3000", "localhost:3000".
[[nodiscard]] Result<OriginUrl> parse_origin_url(std::string_view text);
[[nodiscard]] std::string show_origin_url(const OriginUrl& url);

// "127.0.0.1:9600", "[::1]:9600", ":9600" (every address), "9600" (loopback), "unix:/path" or
// "off". Gives what Listener::listen takes; empty for off.
[[nodiscard]] Result<std::string> parse_listen_address(std::string_view text);

}  // namespace ptth
