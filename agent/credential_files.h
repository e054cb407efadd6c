#pragma once

// Looks at the files that the configuration names, before anything is dialled: a wrong path is the
// operator's to mend now, not a gateway's refusal later.

#include "agent/config.h"

namespace ptth {

// Adds a problem for each certificate, key, CA or secret file that cannot be used, and a warning
// for each key or secret that others may read.
void check_credential_files(LoadedConfig& loaded);

}  // namespace ptth
