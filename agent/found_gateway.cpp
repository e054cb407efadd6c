#include "agent/found_gateway.h"

#include "agent/config_discovery.h"
#include "agent/config_value.h"
#include "agent/profiles.h"
#include "agent/proxy_environment.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// RFC 9460 section 7.1: a record is of no use to who shares no protocol with it.
bool shares_alpn(const GatewayOptions& gateway, const ProfileSet& profiles,
                 const std::vector<std::string>& accepted) {
  const auto accepts_one_of = [&](const std::vector<std::string>& ids) {
    return std::find_first_of(ids.begin(), ids.end(), accepted.begin(), accepted.end()) !=
           ids.end();
  };
  if (!gateway.alpn.empty()) return accepts_one_of(gateway.alpn);
  return std::any_of(profiles.chosen.begin(), profiles.chosen.end(),
                     [&](const auto& profile) { return accepts_one_of(profile->default_alpn()); });
}

}  // namespace

Result<GatewayOptions> to_gateway(const GatewayOptions& asked, const FoundGateway& found,
                                  const ServedAuthorities& serve,
                                  const std::map<std::string, std::string>& environment) {
  GatewayOptions gateway = asked;
  gateway.discovery = {};
  gateway.name = asked.name + "." + found.name;
  gateway.host = found.host;
  gateway.port = found.port;
  gateway.tls = true;
  gateway.address_hints = found.address_hints;
  if (gateway.server_name.empty()) gateway.server_name = found.server_name;
  if (!found.profile.empty()) gateway.profile = found.profile;
  if (found.connections) gateway.connections = *found.connections;
  auto proxy = chosen_proxy(gateway.proxy, gateway.host, gateway.port, environment);
  if (!proxy) return proxy.error();
  gateway.proxy = std::move(proxy).value();
  const auto profiles = make_profiles(gateway, serve);
  if (!profiles) return profiles.error();
  if (!found.alpn.empty() && !shares_alpn(gateway, profiles.value(), found.alpn)) {
    return configuration_error(gateway.name + " accepts no ALPN id of the profile " +
                               gateway.profile);
  }
  return gateway;
}

Result<ProxyOptions> chosen_proxy(const ProxyOptions& proxy, const std::string& host, uint16_t port,
                                  const std::map<std::string, std::string>& environment) {
  if (proxy.mode != ProxyOptions::Mode::kFromEnvironment) return proxy;
  auto found = proxy_from_environment(environment, host, port, /*tls=*/true);
  if (!found) return found.error();
  found.value().ca_file = proxy.ca_file;
  found.value().credentials_file = proxy.credentials_file;
  return found;
}

GatewayOptions example_gateway(const GatewayOptions& asked) {
  GatewayOptions gateway = asked;
  if (asked.discovery.kind == DiscoveryOptions::Kind::kNone) return gateway;
  gateway.discovery = {};
  gateway.host = discovery_host(asked.discovery);
  return gateway;
}

}  // namespace ptth
