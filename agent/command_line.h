#pragma once

// The verbs of the program: what was typed becomes a call, and its outcome an exit code.

#include <map>
#include <string>
#include <vector>

namespace ptth {

// arguments without the program's name. Returns an ExitCode.
[[nodiscard]] int run_command_line(const std::vector<std::string>& arguments,
                                   const std::map<std::string, std::string>& environment);

}  // namespace ptth
