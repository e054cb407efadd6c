#pragma once

// HTTPS_PROXY, NO_PROXY and their like, as curl and Go read them.

#include "agent/link/proxy_options.h"
#include "common/error.h"

#include <map>
#include <string>

namespace ptth {

// For a gateway at host and port: https_proxy, HTTPS_PROXY or, for one without TLS, http_proxy;
// then all_proxy, ALL_PROXY. The first that is set counts, an empty one means none. Loopback and
// what no_proxy or NO_PROXY names is reached directly: names with what is below them, addresses and
// networks (10.0.0.0/8), each with or without a port; "*" is everything. kConfiguration with the
// variable's name, and never with its password.
[[nodiscard]] Result<ProxyOptions> proxy_from_environment(
    const std::map<std::string, std::string>& environment, const std::string& host, uint16_t port,
    bool tls);

// "http://proxy:3128", also without a scheme or with user:password@ before the host.
[[nodiscard]] Result<ProxyOptions> parse_proxy_url(std::string_view text);

}  // namespace ptth
