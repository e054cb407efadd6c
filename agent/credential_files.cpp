#include "agent/credential_files.h"

#include "agent/config_value.h"
#include "agent/link/challenge_answer.h"
#include "common/fetch.h"
#include "common/secret_file.h"
#include "common/tls_stream.h"

#include <algorithm>
#include <memory>
#include <string>
#include <sys/stat.h>

namespace ptth {

namespace {

void warn_once(Config& config, const std::string& warning) {
  const auto begin = config.warnings.begin();
  const auto end = config.warnings.end();
  if (std::find(begin, end, warning) == end) config.warnings.push_back(warning);
}

void check_mode(Config& config, const std::string& file, const std::string& what) {
  constexpr unsigned kOthers = S_IRWXG | S_IRWXO;

  struct stat status {};

  if (file.empty() || stat(file.c_str(), &status) != 0) return;
  if ((status.st_mode & kOthers) == 0) return;
  warn_once(config, printable(file) + ": others may read this " + what + "; chmod 600 it");
}

void check_secret(LoadedConfig& loaded, const GatewayOptions& gateway, const std::string& file) {
  if (file.empty()) return;
  const auto secret = read_secret_file(file);
  if (!secret) {
    loaded.problems.push_back(
        {ConfigSource::kFile, "gateway " + gateway.name + ": " + printable(secret.error().detail)});
  }
  check_mode(loaded.config, file, "secret");
}

void check_envoy_files(LoadedConfig& loaded, const GatewayOptions& gateway) {
  const EnvoyOptions& envoy = gateway.envoy;
  if (gateway.profile != "envoy" || envoy.cert_file.empty()) return;
  const auto usable = TlsContext::for_server(envoy.inner_tls());
  if (!usable) {
    loaded.problems.push_back({ConfigSource::kFile, "gateway " + gateway.name + ": envoy: " +
                                                        printable(usable.error().detail)});
  }
  check_mode(loaded.config, envoy.key_file.empty() ? envoy.cert_file : envoy.key_file,
             "private key");
}

void check_oauth_files(LoadedConfig& loaded, const GatewayOptions& gateway) {
  const OauthOptions& oauth = gateway.auth.oauth;
  if (!oauth.given()) return;
  const auto problem = [&](const Error& error) {
    loaded.problems.push_back(
        {ConfigSource::kFile, "gateway " + gateway.name + ": oauth: " + printable(error.detail)});
  };
  if (const auto usable = check_fetch_library(); !usable) problem(usable.error());
  check_secret(loaded, gateway, oauth.client_secret_file);
  check_secret(loaded, gateway, oauth.client_assertion_file);
  // Others may read it where Kubernetes puts it; no chmod mends that.
  if (!oauth.subject_token_file.empty()) {
    const auto subject = read_secret_file(oauth.subject_token_file);
    if (!subject) problem(subject.error());
  }
  TlsOptions tls;
  tls.ca_file = oauth.ca_file;
  tls.cert_file = oauth.cert_file;
  tls.key_file = oauth.key_file;
  if (const auto usable = TlsContext::for_client(tls); !usable) problem(usable.error());
  check_mode(loaded.config, oauth.key_file.empty() ? oauth.cert_file : oauth.key_file,
             "private key");
}

void check_challenge_files(LoadedConfig& loaded, const GatewayOptions& gateway) {
  if (const auto usable = try_challenge(gateway.challenge); !usable) {
    loaded.problems.push_back(
        {ConfigSource::kFile, "gateway " + gateway.name + ": " + printable(usable.error().detail)});
  }
  check_mode(loaded.config, gateway.challenge.token_file, "secret");
  check_mode(loaded.config, gateway.challenge.key_file, "private key");
}

void check_discovery_files(LoadedConfig& loaded, const GatewayOptions& gateway) {
  const DiscoveryOptions& discovery = gateway.discovery;
  if (discovery.kind != DiscoveryOptions::Kind::kDocument) return;
  check_secret(loaded, gateway, discovery.token_file);
  if (discovery.ca_file.empty()) return;
  TlsOptions tls;
  tls.ca_file = discovery.ca_file;
  const auto usable = TlsContext::for_client(tls);
  if (usable) return;
  loaded.problems.push_back({ConfigSource::kFile, "gateway " + gateway.name + ": discovery: " +
                                                      printable(usable.error().detail)});
}

}  // namespace

void check_credential_files(LoadedConfig& loaded) {
  for (const GatewayOptions& gateway : loaded.config.gateways) {
    check_secret(loaded, gateway, gateway.auth.token_file);
    check_secret(loaded, gateway, gateway.auth.basic_file);
    check_secret(loaded, gateway, gateway.proxy.credentials_file);
    for (const std::string& header : gateway.auth.header_files)
      check_secret(loaded, gateway, parse_header_file(header).value().file);
    check_envoy_files(loaded, gateway);
    check_oauth_files(loaded, gateway);
    check_challenge_files(loaded, gateway);
    check_discovery_files(loaded, gateway);
    if (!gateway.tls) continue;
    const TlsOptions& tls = gateway.tls_options;
    const auto usable = TlsContext::for_client(tls);
    if (!usable) {
      loaded.problems.push_back({ConfigSource::kFile, "gateway " + gateway.name + ": " +
                                                          printable(usable.error().detail)});
    }
    check_mode(loaded.config, tls.key_file.empty() ? tls.identity_file() : tls.key_file,
               "private key");
    check_secret(loaded, gateway, tls.pkcs12_password_file);
  }
}

}  // namespace ptth
