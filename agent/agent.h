#pragma once

// The composition root: makes what the configuration asks for, and runs it until it is told to
// leave.

namespace ptth {

struct Config;

// Returns an ExitCode.
[[nodiscard]] int run_agent(const Config& config);

}  // namespace ptth
