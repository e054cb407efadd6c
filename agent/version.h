#pragma once

// What this binary is and what it runs on.

#include <string>

namespace ptth {

// Defined in the file that cmake/version.cmake writes in every build.
extern const char* const kVersion;
extern const char* const kCommit;

// "ptth-agent 0.1.0 (commit 0123456789ab)"
[[nodiscard]] std::string version_text();
// The same with the libraries as they are at run time, and the TLS groups that OpenSSL offers.
[[nodiscard]] std::string version_json();

}  // namespace ptth
