#include "agent/link/auth.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace ptth {

namespace {

struct Kind {
  std::string field;
  std::unique_ptr<Auth> auth;
};

Error wrong(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail)};
}

Result<std::vector<Kind>> kinds_of(const AuthOptions& options, const TokenSource* tokens) {
  std::vector<Kind> kinds;
  if (!options.token_file.empty()) {
    kinds.push_back({"authorization", make_bearer_auth(options.token_file)});
  }
  if (!options.token_env.empty()) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment.
    const char* token = std::getenv(options.token_env.c_str());
    if (token == nullptr || *token == '\0') {
      return wrong("the environment variable " + options.token_env + " is not set");
    }
    kinds.push_back({"authorization", make_bearer_auth(Secret(std::string(token)))});
  }
  if (!options.basic_file.empty()) {
    kinds.push_back({"authorization", make_basic_auth(options.basic_file)});
  }
  if (const auto checked = check_oauth_options(options.oauth); !checked) return checked.error();
  if (options.oauth.given()) kinds.push_back({"authorization", make_oauth_auth(tokens)});
  for (const std::string& text : options.header_files) {
    Result<HeaderFile> header = parse_header_file(text);
    if (!header) return header.error();
    std::string name = header.value().name;
    kinds.push_back({name, make_header_auth(name, std::move(header).value().file)});
  }
  return kinds;
}

}  // namespace

Result<HelloCredentials> make_hello_credentials(const AuthOptions& options,
                                                const TokenSource* tokens) {
  Result<std::vector<Kind>> kinds = kinds_of(options, tokens);
  if (!kinds) return kinds.error();
  if (kinds.value().empty()) return HelloCredentials{};
  // Copied with the profile that holds it.
  auto auths = std::make_shared<std::vector<std::unique_ptr<Auth>>>();
  std::vector<std::string> fields;
  for (Kind& kind : kinds.value()) {
    if (std::find(fields.begin(), fields.end(), kind.field) != fields.end()) {
      return wrong("two credentials for the field " + kind.field +
                   ": a gateway reads only one of token, user and password, OAuth, or header");
    }
    fields.push_back(kind.field);
    auths->push_back(std::move(kind.auth));
  }
  return HelloCredentials([auths]() -> Result<std::vector<SecretField>> {
    std::vector<SecretField> secrets;
    for (const auto& auth : *auths) {
      Result<SecretField> field = auth->field();
      if (!field) return field.error();
      secrets.push_back(std::move(field).value());
    }
    return secrets;
  });
}

}  // namespace ptth
