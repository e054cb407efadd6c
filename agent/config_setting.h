#pragma once

// One setting as it was given, before it is understood: the step between the sources (file,
// environment, flags) and Config.

#include "agent/config.h"
#include "agent/config_table.h"

#include <string>
#include <vector>

namespace ptth {

struct Setting {
  const ConfigOption* option;
  std::vector<std::string> values;
  ConfigSource source;
  std::string where;  // "agent.json:12: tls.ca_file", "PTTH_CA_FILE", "--ca-file".
};

struct GatewaySettings {
  std::string where;
  std::vector<Setting> settings;
};

struct ClassSettings {
  std::string where;
  std::vector<Setting> settings;
};

// What one source says.
struct SourceSettings {
  std::vector<Setting> settings;
  std::vector<GatewaySettings> gateways;
  std::vector<ClassSettings> classes;
};

// The JSON file: {"capacity": 50, "gateways": [{"url": ...}]}.
void read_file(const ConfigSources::File& file, SourceSettings& settings,
               std::vector<ConfigProblem>& problems);

// PTTH_* variables. PTTH_GATEWAYS holds what "gateways" would hold in the file. Empty ones count as
// unset.
void read_environment(const std::map<std::string, std::string>& environment,
                      SourceSettings& settings, std::vector<ConfigProblem>& problems);

void read_flags(const std::vector<ConfigSources::Flag>& flags, SourceSettings& settings);

}  // namespace ptth
