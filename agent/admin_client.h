#pragma once

// Asks a running agent over its admin listener: what the verbs of the command line do that are not
// the agent themselves.

#include "common/error.h"
#include "common/loop.h"

#include <string>
#include <string_view>

namespace ptth {

struct AdminAnswer {
  int status = 0;
  std::string body;
};

// address: where the agent's admin interface listens, as Listener::listen takes it. An error says
// why there was no answer. Runs a loop of its own.
[[nodiscard]] Result<AdminAnswer> ask_admin(const std::string& address, std::string_view method,
                                            std::string_view path, Milliseconds timeout);

}  // namespace ptth
