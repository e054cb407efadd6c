#include "agent/credential_files.h"

#include "agent/config_value.h"
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

void check_key_mode(Config& config, const std::string& key_file) {
  constexpr unsigned kOthers = S_IRWXG | S_IRWXO;

  struct stat status {};

  if (key_file.empty() || stat(key_file.c_str(), &status) != 0) return;
  if ((status.st_mode & kOthers) == 0) return;
  warn_once(config, printable(key_file) + ": others may read this private key; chmod 600 it");
}

}  // namespace

void check_credential_files(LoadedConfig& loaded) {
  for (const GatewayOptions& gateway : loaded.config.gateways) {
    if (!gateway.tls) continue;
    const TlsOptions& tls = gateway.tls_options;
    const auto usable = TlsContext::for_client(tls);
    if (!usable) {
      loaded.problems.push_back({ConfigSource::kFile, "gateway " + gateway.name + ": " +
                                                          printable(usable.error().detail)});
    }
    check_key_mode(loaded.config, tls.key_file.empty() ? tls.cert_file : tls.key_file);
  }
}

}  // namespace ptth
