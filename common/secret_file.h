#pragma once

// Secrets from files, read anew each time that they are needed, so that a renewed file (also behind
// a symbolic link that was swapped, as Kubernetes does) is picked up without a restart.

#include "common/error.h"
#include "common/secret.h"

#include <string>

namespace ptth {

inline constexpr size_t kSecretBytesMax = size_t{64} * 1024;

// The content without the line end that editors leave behind it. kConfiguration, and the name of
// the file but nothing of its content: cannot be read, is no regular file, empty, over
// kSecretBytesMax, or holds bytes that no header field can carry.
[[nodiscard]] Result<Secret> read_secret_file(const std::string& path);

}  // namespace ptth
