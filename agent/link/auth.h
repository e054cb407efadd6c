#pragma once

// Auth: one kind of credential that a hello carries in a field. Each kind is one .cpp with one
// factory line here; any combination may be configured for a gateway. A client certificate is not
// one of them: it belongs to TLS (TlsOptions).

#include "agent/link/hello_request.h"
#include "agent/link/oauth_options.h"
#include "common/error.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

class TokenSource;

// What is configured for one gateway.
struct AuthOptions {
  std::string token_file;                 // Bearer token.
  std::string token_env;                  // The same from an environment variable of this name.
  std::string basic_file;                 // user:password
  std::vector<std::string> header_files;  // "name:file", any field.
  OauthOptions oauth;                     // Bearer token from an authorization server.

  [[nodiscard]] bool operator==(const AuthOptions&) const = default;
};

class Auth {
 public:
  Auth() = default;
  Auth(const Auth&) = delete;
  Auth& operator=(const Auth&) = delete;
  Auth(Auth&&) = delete;
  Auth& operator=(Auth&&) = delete;
  virtual ~Auth() = default;

  // Asked at each hello. kConfiguration, without anything of the secret, when there is none to use.
  [[nodiscard]] virtual Result<SecretField> field() const = 0;
};

// RFC 6750. From a file, read at each hello, or given.
[[nodiscard]] std::unique_ptr<Auth> make_bearer_auth(std::string token_file);
[[nodiscard]] std::unique_ptr<Auth> make_bearer_auth(Secret token);
// The token of the source, which is borrowed; null: there is none, at any hello.
[[nodiscard]] std::unique_ptr<Auth> make_oauth_auth(const TokenSource* source);
// RFC 7617. The file holds user:password in UTF-8.
[[nodiscard]] std::unique_ptr<Auth> make_basic_auth(std::string file);
// Any field, its value from a file. The name is in lower case.
[[nodiscard]] std::unique_ptr<Auth> make_header_auth(std::string name, std::string file);

// RFC 6750 section 2.1.
[[nodiscard]] bool is_bearer_token(std::string_view token);

struct HeaderFile {
  std::string name;  // In lower case.
  std::string file;
};

// "name:file". kConfiguration also for fields that frame or route the hello.
[[nodiscard]] Result<HeaderFile> parse_header_file(const std::string& text);

// All kinds that are configured; each is asked anew at each hello. Empty if none is.
// kConfiguration: two of them would write the same field, or the variable is not set, or the
// settings of OAuth make no sense. tokens: for OAuth, borrowed; null where no hello is made.
[[nodiscard]] Result<HelloCredentials> make_hello_credentials(const AuthOptions& options,
                                                              const TokenSource* tokens = nullptr);

}  // namespace ptth
