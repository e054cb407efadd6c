#include "tests/gateway/credential_rules.h"

#include "common/base64.h"
#include "common/http_rules.h"
#include "common/secret_file.h"

#include <algorithm>
#include <fstream>
#include <string_view>
#include <utility>

namespace ptth::dev {

namespace {

constexpr std::string_view kScope = "realm=\"ptth-dev-gateway\"";

Error unusable(std::string what) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(what)};
}

size_t count_of(const FieldList& fields, std::string_view name) {
  size_t count = 0;
  for (const Field field : fields)
    count += field.name == name ? 1 : 0;
  return count;
}

std::string expected_schemes(const CredentialRules& rules) {
  if (rules.users.empty()) return "a bearer token is expected";
  return rules.tokens.empty() ? "user and password (Basic) are expected"
                              : "a bearer token, or user and password (Basic), are expected";
}

CredentialVerdict judge_basic(const CredentialRules& rules, std::string_view value) {
  const Secret shown{std::string(value)};
  for (const CredentialRules::User& user : rules.users) {
    if (user.authorization == shown) return {{}, user.name};
  }
  return {"user and password (Basic) that are not right", {}};
}

CredentialVerdict judge_authorization(const CredentialRules& rules, const FieldList& fields) {
  if (rules.tokens.empty() && rules.users.empty()) return {};
  const auto value = fields.find("authorization");
  if (!value) return {"no credentials: " + expected_schemes(rules), {}};
  if (count_of(fields, "authorization") > 1) {
    return {"Authorization is there more than once (RFC 9110 section 11.6.2)", {}};
  }
  const size_t space = std::min(value->find(' '), value->size());
  const std::string_view scheme = value->substr(0, space);
  const std::string_view rest = trim_whitespace(value->substr(space));
  if (!rules.tokens.empty() && equals_ignoring_case(scheme, "bearer")) {
    const Secret shown{std::string(rest)};
    if (std::ranges::find(rules.tokens, shown) != rules.tokens.end()) return {};
    return {"a bearer token that is not the right one", {}};
  }
  if (!rules.users.empty() && equals_ignoring_case(scheme, "basic")) {
    return judge_basic(rules, rest);
  }
  // Whatever the scheme is, what stands behind it may be secret.
  return {rules.users.empty() ? "other credentials than a bearer token"
                              : "other credentials: " + expected_schemes(rules),
          {}};
}

std::string wrong_with_header(const CredentialRules::Header& rule, const FieldList& fields) {
  const auto value = fields.find(rule.name);
  if (!value) return "no credentials: the field " + rule.name + " is missing";
  if (count_of(fields, rule.name) > 1) return "the field " + rule.name + " is there more than once";
  if (Secret(std::string(*value)) == rule.value) return {};
  return "the field " + rule.name + " does not say what was agreed on";
}

}  // namespace

std::vector<std::string> CredentialRules::challenges() const {
  std::vector<std::string> all;
  if (!tokens.empty()) all.emplace_back("Bearer");
  if (!users.empty()) all.push_back("Basic " + std::string(kScope));
  // RFC 9110 section 15.5.2 wants one; a scheme for fields of one's own is not registered.
  if (all.empty()) all.push_back(headers.empty() ? "Bearer" : "Header " + std::string(kScope));
  return all;
}

CredentialVerdict judge_credentials(const CredentialRules& rules, const FieldList& fields) {
  CredentialVerdict verdict = judge_authorization(rules, fields);
  for (const CredentialRules::Header& rule : rules.headers) {
    if (verdict.wrong.empty()) verdict.wrong = wrong_with_header(rule, fields);
  }
  return verdict;
}

Result<std::vector<CredentialRules::User>> read_users_file(const std::string& path) {
  std::ifstream file(path);
  std::vector<CredentialRules::User> users;
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty()) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0) {
      return unusable(path + " has a line that is not user:password");
    }
    std::string encoded;
    append_base64(encoded, line);
    users.push_back({line.substr(0, colon), Secret(std::move(encoded))});
  }
  if (users.empty()) return unusable(path + " holds no user:password");
  return users;
}

Result<CredentialRules::Header> read_header_file(const std::string& text) {
  const size_t colon = text.find(':');
  std::string name = text.substr(0, colon);
  std::ranges::transform(name, name.begin(), ascii_lower);
  if (colon == std::string::npos || !is_token(name)) {
    return unusable("\"" + text + "\" is not NAME:FILE");
  }
  auto value = read_secret_file(text.substr(colon + 1));
  if (!value) return value.error();
  return CredentialRules::Header{std::move(name), std::move(value).value()};
}

}  // namespace ptth::dev
