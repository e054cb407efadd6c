#pragma once

// Where gateways are found, as people write it in the place of a gateway's URL.

#include "agent/link/discovery_options.h"
#include "common/error.h"

#include <string>
#include <string_view>

namespace ptth {

// It begins as one of the three below.
[[nodiscard]] bool is_discovery(std::string_view text);
// "srv:_ptth._tcp.example.com", "svcb:gw.example", "svcb:gw.example:8443",
// "document:https://control.example/gateways.json". Kind and target; the rest stays.
[[nodiscard]] Result<void> parse_discovery(std::string_view text, DiscoveryOptions& options);
[[nodiscard]] std::string show_discovery(const DiscoveryOptions& options);
// What stands for all of them: "example.com", "gw.example", "control.example".
[[nodiscard]] std::string discovery_host(const DiscoveryOptions& options);

}  // namespace ptth
