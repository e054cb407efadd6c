#pragma once

// Where gateways are found that the configuration does not name one by one.

#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ptth {

struct DiscoveryOptions {
  enum class Kind { kNone, kSrv, kSvcb, kDocument };

  Kind kind = Kind::kNone;
  // The name of SRV records ("_ptth._tcp.example.com"), the host of SVCB records ("gw.example", or
  // "gw.example:8443"), or the URL of a document.
  std::string target;
  uint32_t gateways_max = 16;  // More: DNS, the best; a document is refused.
  // Between two looks: what the source says (TTL, max-age), but within these.
  Milliseconds refresh_min{30'000};
  Milliseconds refresh_max{3'600'000};
  Milliseconds refresh{300'000};  // When it says nothing.
  Milliseconds timeout{10'000};   // Of one look.
  // SRV: find the target's own name in the gateway's certificate, and trust whoever answers for us
  // in DNS.
  bool insecure_target_names = false;
  // Of a document:
  std::vector<std::string>
      allowed_hosts;  // Where gateways may be; empty: only the document's host.
  size_t document_bytes_max = size_t{64} * 1024;
  std::string ca_file;     // Trusted for its server; empty: the system's.
  std::string token_file;  // A bearer token for its server.
  std::string cache_file;  // The last good copy, for a start without it; empty: only in memory.

  [[nodiscard]] bool operator==(const DiscoveryOptions&) const = default;
};

}  // namespace ptth
