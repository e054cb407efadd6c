#pragma once

// Our certificate and its key: from PEM files, or from one PKCS #12 file (RFC 7292).

#include "common/error.h"
#include "common/tls_stream.h"

struct ssl_ctx_st;

namespace ptth {

// Nothing to load is no error. kConfiguration: the file, and what is wrong with it.
[[nodiscard]] Result<void> load_tls_identity(ssl_ctx_st* context, const TlsOptions& options);

}  // namespace ptth
