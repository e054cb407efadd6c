#include "agent/agent.h"

#include "agent/config.h"
#include "agent/exit_code.h"

#include <cstdio>

namespace ptth {

int run_agent(const Config& /*config*/) {
  std::fputs("ptth-agent: not built yet\n", stderr);
  return kExitInternal;
}

}  // namespace ptth
