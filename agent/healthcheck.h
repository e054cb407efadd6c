#pragma once

// Asks a running agent whether it is ready, for container images that have no shell and no curl.

#include "common/error.h"
#include "common/loop.h"

#include <string>

namespace ptth {

// address: where the agent's admin interface listens, as Listener::listen takes it. Ok: /readyz
// answered 200. Runs a loop of its own.
[[nodiscard]] Result<void> check_health(const std::string& address, Milliseconds timeout);

}  // namespace ptth
