#pragma once

// Everything that can be set, and where it was set: flags over environment over file over defaults.
// Only main and agent include this header; each module has its own Options struct, and Config is
// made of those.

#include "agent/admin.h"
#include "agent/link/link.h"
#include "agent/origin/http_origin.h"
#include "agent/relay/admission.h"
#include "agent/relay/capacity_share.h"
#include "common/authority.h"
#include "common/log.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

struct Config {
  std::vector<GatewayOptions> gateways;
  HttpOriginOptions origin;
  ServedAuthorities serve;  // What is relayed; empty: everything.
  AdmissionOptions admission;
  uint32_t capacity_reserve = 10;  // Of the capacity, for each gateway that is attached.
  ShareOptions shares;
  size_t buffer_bytes = size_t{256} * 1024 * 1024;  // Bodies buffered on all links: Budget.
  AdminOptions admin;
  Log::Options log;
  Milliseconds drain_timeout{30'000};
  Milliseconds startup_timeout{0};               // 0: waits for a gateway for ever.
  Milliseconds credentials_interval{5'000};      // Between two looks at their files; 0: never.
  Milliseconds expiry_warning{168 * 3'600'000};  // Before the end of a certificate.
  Milliseconds reload_interval{5'000};           // Between two looks at the file; 0: never.
  Milliseconds handover_timeout{300'000};        // GatewaySet::Desired has it.
  bool exit_on_auth_failure = false;
  bool insecure_cleartext_gateway = false;  // http:// gateways are allowed.
  std::vector<std::string> warnings;        // For the log at start-up.
  // For the proxy of gateways that are found later.
  std::map<std::string, std::string> environment;
};

enum class ConfigSource { kDefault, kFile, kEnvironment, kFlag };

// What the process was given, as text. Nothing here reads files, the environment or argv, so that
// tests and the fuzzer can give their own.
struct ConfigSources {
  struct File {
    std::string name;
    std::string text;
  };

  struct Flag {
    std::string name;  // Without the dashes.
    std::vector<std::string> values;
  };

  std::vector<Flag> flags;
  std::map<std::string, std::string> environment;  // PTTH_*, and HTTPS_PROXY and its like.
  std::optional<File> file;
  LogFormat default_log_format = LogFormat::kJson;
};

struct ConfigProblem {
  ConfigSource source;
  std::string text;  // Where, which setting, what is wrong, what to write instead.
};

// One setting as it came out, for people.
struct EffectiveValue {
  std::string key;
  std::string value;
  std::string source;
};

struct LoadedConfig {
  Config config;  // Complete only if there is no problem.
  std::vector<ConfigProblem> problems;
  std::vector<EffectiveValue> effective;
};

[[nodiscard]] LoadedConfig load_config(const ConfigSources& sources);

}  // namespace ptth
