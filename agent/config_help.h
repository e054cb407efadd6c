#pragma once

// The table of settings as text for people: --help and the README.

#include <string>

namespace ptth {

[[nodiscard]] std::string options_help();
[[nodiscard]] std::string options_markdown();

}  // namespace ptth
