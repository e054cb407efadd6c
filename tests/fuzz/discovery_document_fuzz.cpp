// A discovery document from whoever can change it.

#include "agent/discovery_document.h"
#include "common/check.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ptth::DiscoveryOptions options;
  options.kind = ptth::DiscoveryOptions::Kind::kDocument;
  options.target = "https://control.example/gateways.json";
  options.allowed_hosts = {"control.example", "a.example"};
  options.gateways_max = 4;
  const auto found = ptth::parse_discovery_document(
      std::string_view(reinterpret_cast<const char*>(data), size), options);
  if (!found) {
    CHECK_INVARIANT(!found.error().detail.empty());
    return 0;
  }
  CHECK_INVARIANT(!found.value().empty() && found.value().size() <= options.gateways_max);
  std::set<std::string> names;
  for (const ptth::FoundGateway& gateway : found.value()) {
    CHECK_INVARIANT(names.insert(gateway.name).second);
    CHECK_INVARIANT(gateway.host == "control.example" || gateway.host == "a.example");
    CHECK_INVARIANT(gateway.port != 0 && gateway.server_name.empty());
  }
  return 0;
}
