#include "agent/link/envoy_options.h"

#include <utility>

namespace ptth {

namespace {

Error wrong(std::string what) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(what), false};
}

bool has_colon(const std::string& id) {
  return id.find(':') != std::string::npos;
}

}  // namespace

TlsOptions EnvoyOptions::inner_tls() const {
  TlsOptions tls;
  tls.cert_file = cert_file;
  tls.key_file = key_file;
  tls.ca_file = ca_file;
  tls.peer_certificate = ca_file.empty() ? PeerCertificate::kNone : PeerCertificate::kRequired;
  return tls;
}

Result<void> check_envoy_options(const EnvoyOptions& options) {
  if (options.node_id.empty()) {
    return wrong("an Envoy has to be told which worker this is: give --envoy-node-id");
  }
  if (options.cluster_id.empty()) {
    return wrong(
        "an Envoy has to be told to which workers this one belongs: give --envoy-cluster-id");
  }
  if (options.node_id == options.cluster_id) {
    return wrong("--envoy-node-id and --envoy-cluster-id are the same, which confuses an Envoy");
  }
  const bool any_colon =
      has_colon(options.node_id) || has_colon(options.cluster_id) || has_colon(options.tenant_id);
  if (!options.tenant_id.empty() && any_colon) {
    return wrong("with --envoy-tenant-id an Envoy joins the ids by colons: they cannot have one");
  }
  if (!options.key_file.empty() && options.cert_file.empty()) {
    return wrong(
        "--envoy-key-file is a private key without its certificate: give --envoy-cert-file");
  }
  if (!options.cert_file.empty() && options.ca_file.empty() && !options.insecure_handover) {
    return wrong(
        "behind the hello anyone on the way could begin TLS with us: give --envoy-ca-file, which "
        "issues the gateway's certificates, or --insecure-envoy-handover");
  }
  return {};
}

}  // namespace ptth
