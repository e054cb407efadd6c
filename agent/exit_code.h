#pragma once

// How the process ends, in the words of sysexits.h where it has one. Supervisors and scripts rely
// on these numbers.

namespace ptth {

enum ExitCode : int {
  kExitClean = 0,                // Also after a drain that lost nothing.
  kExitInternal = 1,             // Our own fault; for healthcheck: not ready.
  kExitUsage = 2,                // The command line is wrong.
  kExitNoGateway = 69,           // No gateway attached within --startup-timeout.
  kExitCut = 75,                 // The drain deadline passed and exchanges were cut.
  kExitCredentialsRefused = 77,  // Only with --exit-on-auth-failure.
  kExitConfiguration = 78,       // The environment or the configuration file is wrong.
};

}  // namespace ptth
