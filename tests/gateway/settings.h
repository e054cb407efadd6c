#pragma once

// The flags of ptth-dev-gateway, and what they say.

#include "common/error.h"
#include "common/log.h"
#include "tests/gateway/dev_gateway.h"

#include <string>
#include <vector>

namespace ptth::dev {

struct Settings {
  DevGateway::Options gateway;
  Log::Options log;
  std::string make_certificates;  // The directory; empty: certificates come from files.
  std::string ports_file;
};

// Either settings, or a text to print and the status to exit with (also for --help).
struct SettingsOrExit {
  Settings settings;
  bool exit_now = false;
  int exit_status = 0;
};

// May throw what CLI11 throws, besides its own way to end a program.
[[nodiscard]] SettingsOrExit read_settings(int argc, const char* const* argv);

}  // namespace ptth::dev
