// The configuration file, and the texts that stand in flags and variables.

#include "agent/config.h"
#include "agent/config_table.h"
#include "common/check.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

// The longest fuzz input is far below; what a user reads must be, too.
constexpr size_t kComplaintsMax = 100'000;

void check_problems(const std::vector<ptth::ConfigProblem>& problems) {
  for (const ptth::ConfigProblem& problem : problems) {
    CHECK_INVARIANT(!problem.text.empty());
    for (const char c : problem.text)
      CHECK_INVARIANT(static_cast<unsigned char>(c) >= 0x20);
  }
  CHECK_INVARIANT(problems.size() < kComplaintsMax);
}

void check_outcome(ptth::LoadedConfig loaded) {
  check_problems(loaded.problems);
  if (!loaded.problems.empty()) return;
  CHECK_INVARIANT(!loaded.config.gateways.empty());
  // What is shown can be given again, and means the same.
  for (ptth::GatewayOptions& gateway : loaded.config.gateways) {
    CHECK_INVARIANT(!gateway.host.empty());
    CHECK_INVARIANT(gateway.port != 0);
    for (const ptth::ConfigOption& option : ptth::config_options()) {
      const std::string shown = ptth::show_option(option, loaded.config, gateway);
      if (shown.empty() || ptth::is_list(option)) continue;
      CHECK_INVARIANT(ptth::assign_option(option, {shown}, loaded.config, gateway).ok());
      CHECK_INVARIANT(ptth::show_option(option, loaded.config, gateway) == shown);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  ptth::ConfigSources as_file;
  as_file.file = {"agent.json", text};
  check_outcome(ptth::load_config(as_file));

  ptth::ConfigSources as_values;
  as_values.environment["PTTH_GATEWAYS"] = text;
  for (const ptth::ConfigOption& option : ptth::config_options()) {
    if (!option.flag.empty()) as_values.flags.push_back({std::string(option.flag), {text}});
  }
  check_outcome(ptth::load_config(as_values));
  return 0;
}
