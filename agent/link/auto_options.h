#pragma once

#include "common/loop.h"

#include <string>
#include <vector>

namespace ptth {

// How the agent finds out which profile a gateway speaks (ProfileChooser).
struct AutoOptions {
  std::vector<std::string> profiles;  // The best first; empty: all that the settings allow.
  Milliseconds interval{600'000};     // Between two looks for a better one; 0: never.

  [[nodiscard]] bool operator==(const AutoOptions&) const = default;
};

}  // namespace ptth
