#pragma once

// Where a bearer token for the hello comes from when an authorization server issues it: OAuth 2.0
// client credentials (RFC 6749 section 4.4) or token exchange (RFC 8693).

#include "agent/link/proxy_options.h"
#include "common/error.h"
#include "common/loop.h"

#include <string>
#include <vector>

namespace ptth {

// How we show the token endpoint who we are (RFC 6749 section 2.3, RFC 8705 section 2).
enum class OauthClientAuth { kBasic, kPost, kTls };

struct OauthOptions {
  std::string token_url;  // Empty: no OAuth.
  std::string client_id;  // Empty, for token exchange: the subject token says it all.
  std::string client_secret_file;
  std::string client_assertion_file;  // A signed JWT instead of a secret (RFC 7523 section 2.2).
  OauthClientAuth client_auth = OauthClientAuth::kBasic;
  std::vector<std::string> scopes;
  std::vector<std::string> audiences;
  std::vector<std::string> resources;
  std::string subject_token_file;  // Given: token exchange.
  std::string subject_token_type = "urn:ietf:params:oauth:token-type:jwt";
  std::string requested_token_type;  // Empty: as the endpoint likes.
  std::string ca_file;               // Of the endpoint; empty: the system's.
  std::string cert_file;             // Our certificate for it.
  std::string key_file;
  ProxyOptions proxy;
  Milliseconds timeout{10'000};
  size_t response_bytes_max = size_t{64} * 1024;
  // A token that a gateway refused is not replaced sooner after it was fetched, nor is a token
  // whose life is shorter.
  Milliseconds refetch_min{10'000};

  [[nodiscard]] bool given() const { return !token_url.empty(); }

  [[nodiscard]] bool operator==(const OauthOptions&) const = default;
};

// kConfiguration: what is missing or contradicts itself, and which setting mends it.
[[nodiscard]] Result<void> check_oauth_options(const OauthOptions& options);

}  // namespace ptth
