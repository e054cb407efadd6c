#include "agent/command_line.h"
#include "agent/exit_code.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace {

// Keys and tokens must not leave with a core dump or a debugger of the same user; and a gateway
// that goes away while we write is an error of that write, not the end of the process.
void harden_process() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::signal(SIGPIPE, SIG_IGN);
}

std::map<std::string, std::string> read_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace

// The only place where exceptions are caught: nlohmann/json and CLI11 throw, at start-up.
int main(int argc, char** argv) {
  harden_process();
  try {
    return ptth::run_command_line({argv + (argc > 0 ? 1 : 0), argv + argc}, read_environment());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ptth-agent: internal error: %s\n", error.what());
    return ptth::kExitInternal;
  }
}
