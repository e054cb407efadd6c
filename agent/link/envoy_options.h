#pragma once

// What an Envoy as gateway has to be told, and what it may do with the connection behind the hello
// (protocols.md section 6).

#include "common/error.h"
#include "common/loop.h"
#include "common/tls_stream.h"
#include "common/token_bucket.h"

#include <string>

namespace ptth {

struct EnvoyOptions {
  std::string node_id;           // Unique among all workers of the gateway.
  std::string cluster_id;        // Never a node's id.
  std::string tenant_id;         // May be empty.
  std::string upstream_cluster;  // Where the gateway wants to hear it; else empty.
  std::string header_prefix = "x-envoy";
  Milliseconds ping_interval{2'000};  // Of the gateway's keepalives; three that stay away: dead.
  Rate pings{13'107, 10};             // 64 KiB at once.
  // The TLS session that the gateway begins behind the hello, in which we are the server.
  std::string cert_file;  // Our certificate and its chain (PEM).
  std::string key_file;   // Its key; empty: in cert_file.
  std::string ca_file;    // Who issues the gateway's certificates.
  // Behind TLS go on in cleartext, or with a gateway that shows no certificate.
  bool insecure_handover = false;

  // As of a TLS server.
  [[nodiscard]] TlsOptions inner_tls() const;

  [[nodiscard]] bool operator==(const EnvoyOptions&) const = default;
};

// kConfiguration: an id is missing or cannot be used, a file is missing.
[[nodiscard]] Result<void> check_envoy_options(const EnvoyOptions& options);

}  // namespace ptth
