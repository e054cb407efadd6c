#pragma once

// What is wrong with a file of a TlsOptions, in words.

#include "common/error.h"

#include <string>
#include <string_view>

namespace ptth {

// "cert_file /etc/x.pem: the file is empty"
[[nodiscard]] Error tls_file_error(std::string_view option, const std::string& path,
                                   const std::string& what);

// OpenSSL says "no start line" for an empty file and little for a missing one.
[[nodiscard]] Result<void> check_readable(std::string_view option, const std::string& path);

// Takes OpenSSL's error. expected: "certificate", "private key", ...
[[nodiscard]] std::string pem_problem(std::string_view expected);

}  // namespace ptth
