#pragma once

// The credentials that a hello must show besides a certificate, which TLS has looked at: a bearer
// token or user and password in Authorization (one of those that are known), and every header field
// that was agreed on. Several tokens may be good at once, so that one can be renewed.

#include "common/error.h"
#include "common/http_message.h"
#include "common/secret.h"

#include <string>
#include <vector>

namespace ptth::dev {

struct CredentialRules {
  struct User {
    std::string name;
    Secret authorization;  // As Basic sends it (RFC 7617).
  };

  struct Header {
    std::string name;  // In lower case.
    Secret value;
  };

  std::vector<Secret> tokens;  // Bearer (RFC 6750).
  std::vector<User> users;
  std::vector<Header> headers;

  // The values of WWW-Authenticate, as they go with a 401.
  [[nodiscard]] std::vector<std::string> challenges() const;
};

struct CredentialVerdict {
  std::string wrong;  // In one line, without anything of a secret; empty: all is right.
  std::string user;   // Whom Basic named.
};

[[nodiscard]] CredentialVerdict judge_credentials(const CredentialRules& rules,
                                                  const FieldList& fields);

// The lines of a file, each user:password.
[[nodiscard]] Result<std::vector<CredentialRules::User>> read_users_file(const std::string& path);
// "NAME:FILE".
[[nodiscard]] Result<CredentialRules::Header> read_header_file(const std::string& text);

}  // namespace ptth::dev
