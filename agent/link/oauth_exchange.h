#pragma once

// One question to a token endpoint, and its answer (RFC 6749 sections 4.4 and 5, RFC 8693), without
// any network: TokenSource asks it.

#include "agent/link/oauth_options.h"
#include "common/fetch.h"
#include "common/secret.h"

#include <string_view>

namespace ptth {

struct AccessToken {
  Secret token;
  Milliseconds lifetime;  // From the answer on; more than zero.
};

// An endpoint that does not say how long its token lives.
inline constexpr Milliseconds kTokenLifetimeUnknown{300'000};
// Tokens that live longer are fetched anew all the same.
inline constexpr Milliseconds kTokenLifetimeMax{24 * 3'600'000};
inline constexpr size_t kTokenBytesMax = size_t{16} * 1024;

// Reads the files with secrets anew. kConfiguration: one of them cannot be used.
[[nodiscard]] Result<FetchRequest> make_token_request(const OauthOptions& options);

// kRefused: the endpoint does not accept our credentials, or what we ask for. kUnavailable: not
// now. kProtocol: that is no token endpoint, or no token for us. The detail holds nothing of the
// answer but error codes that are known.
[[nodiscard]] Result<AccessToken> read_token_answer(int status, std::string_view body);

}  // namespace ptth
