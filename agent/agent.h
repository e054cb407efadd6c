#pragma once

// The composition root: makes what the configuration asks for, and runs it until it is told to
// leave.

#include "common/file_stamp.h"

namespace ptth {

struct ConfigOrigin;
struct LoadedConfig;

// loaded: without a problem. stamp: of the configuration's file, from before it was read. Returns
// an ExitCode.
[[nodiscard]] int run_agent(const LoadedConfig& loaded, const FileStamp& stamp,
                            const ConfigOrigin& origin);

}  // namespace ptth
