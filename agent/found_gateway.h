#pragma once

// FoundGateway: what discovery says of one gateway: where to dial, and little else. All other
// settings, credentials among them, are those of the gateway in the configuration that asked for
// discovery.
//
// Which name the gateway's certificate must carry: tls.server_name, if that is set. Else, for SRV,
// the domain that was asked for (RFC 6125 section 6.2.1: a target that came over DNS is only where
// to dial), unless discovery.insecure_target_names; for SVCB, the host that was asked for (RFC 9460
// section 2.3: records do not change who is meant); for a document, which came over HTTPS, the host
// of the gateway's URL, which has to be one of discovery.allowed_hosts.

#include "agent/link/link.h"
#include "common/authority.h"
#include "common/error.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ptth {

struct FoundGateway {
  std::string name;  // Among those that were found together.
  std::string host;
  uint16_t port = 443;
  std::string server_name;              // Empty: host.
  std::string profile;                  // Empty: as configured.
  std::optional<uint32_t> connections;  // The same.
  // Another one with a smaller number is to be preferred while it can be reached.
  uint32_t priority = 0;
  std::vector<std::string> alpn;  // It accepts these; empty: unknown.
  std::vector<std::string> address_hints;

  [[nodiscard]] bool operator==(const FoundGateway&) const = default;
};

// What was asked for, with that gateway in its place. kConfiguration: the two do not fit.
// environment: as Config has it.
[[nodiscard]] Result<GatewayOptions> to_gateway(
    const GatewayOptions& asked, const FoundGateway& found, const ServedAuthorities& serve,
    const std::map<std::string, std::string>& environment);

// The proxy of these settings for that place, if the environment decides: none, or one.
[[nodiscard]] Result<ProxyOptions> chosen_proxy(
    const ProxyOptions& proxy, const std::string& host, uint16_t port,
    const std::map<std::string, std::string>& environment);

// As if the host that was asked for were the gateway: to check the configuration with.
[[nodiscard]] GatewayOptions example_gateway(const GatewayOptions& asked);

}  // namespace ptth
