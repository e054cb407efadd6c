#pragma once

// The discovery document (README, agent/discovery.schema.json): JSON that says where gateways are.
// Whoever can change it may send us elsewhere, but not with our credentials to a host that is not
// allowed, and not to another origin. It is refused whole when any of it is wrong.

#include "agent/found_gateway.h"
#include "agent/link/discovery_options.h"
#include "common/error.h"

#include <string_view>
#include <vector>

namespace ptth {

// At least one gateway. kProtocol, with the line, the key and what is wrong.
[[nodiscard]] Result<std::vector<FoundGateway>> parse_discovery_document(
    std::string_view text, const DiscoveryOptions& options);

}  // namespace ptth
