// What a token endpoint answers (RFC 6749 section 5). All of it is foreign bytes.

#include "agent/link/auth.h"
#include "agent/link/oauth_exchange.h"
#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

namespace ptth {

namespace {

using Json = nlohmann::json;

// An endpoint could write anything into its answer, also what we have sent: only codes that are
// known are told (RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 8707).
struct KnownError {
  std::string_view code;
  ErrorKind kind;
  std::string_view advice;
};

constexpr std::array kKnownErrors{
    KnownError{"invalid_client", ErrorKind::kRefused,
               "check --oauth-client-id, its secret, and --oauth-client-auth"},
    KnownError{"invalid_grant", ErrorKind::kRefused, "check the subject token"},
    KnownError{"invalid_request", ErrorKind::kRefused,
               "check what it needs: scope, audience, resource, --oauth-client-auth"},
    KnownError{"invalid_scope", ErrorKind::kRefused, "check --oauth-scope"},
    KnownError{"invalid_target", ErrorKind::kRefused,
               "check --oauth-audience and --oauth-resource"},
    KnownError{"unauthorized_client", ErrorKind::kRefused, "allow this client that grant there"},
    KnownError{"unsupported_grant_type", ErrorKind::kRefused, "it does not know that grant"},
    KnownError{"access_denied", ErrorKind::kRefused, "allow it there"},
    KnownError{"slow_down", ErrorKind::kUnavailable, "it wants fewer requests"},
    KnownError{"server_error", ErrorKind::kUnavailable, "it has a fault"},
    KnownError{"temporarily_unavailable", ErrorKind::kUnavailable, "it comes back"},
};

Error fault(ErrorKind kind, std::string detail) {
  return {kind, Side::kLocal, "the token endpoint " + std::move(detail)};
}

const std::string* text_of(const Json& answer, const char* name) {
  const auto found = answer.find(name);
  return found == answer.end() ? nullptr : found->get_ptr<const std::string*>();
}

Error read_refusal(int status, const Json& answer) {
  const std::string number = std::to_string(status);
  if (answer.is_object()) {
    const std::string* code = text_of(answer, "error");
    for (const KnownError& known : kKnownErrors) {
      if (code == nullptr || *code != known.code) continue;
      return fault(known.kind, "answers " + std::string(known.code) + " (" + number +
                                   "): " + std::string(known.advice));
    }
  }
  if (status == 400 || status == 401 || status == 403) {
    return fault(ErrorKind::kRefused, "refuses us with " + number);
  }
  if (status == 429 || status >= 500) {
    return fault(ErrorKind::kUnavailable, "cannot answer now (" + number + ")");
  }
  if (status >= 300 && status < 400) {
    return fault(ErrorKind::kProtocol, "redirects (" + number +
                                           "), which is not followed: give --oauth-token-url as "
                                           "it is in the end");
  }
  return fault(ErrorKind::kProtocol, "answers " + number + ": check --oauth-token-url");
}

// In seconds; a number, or, as some write it, a number in a text.
std::optional<double> seconds_of(const Json& value) {
  if (value.is_number()) return value.get<double>();
  const auto* text = value.get_ptr<const std::string*>();
  if (text == nullptr) return std::nullopt;
  const auto number = parse_content_length(*text);
  if (!number) return std::nullopt;
  return static_cast<double>(*number);
}

Result<Milliseconds> read_lifetime(const Json& answer) {
  const auto found = answer.find("expires_in");
  if (found == answer.end() || found->is_null()) return kTokenLifetimeUnknown;
  const auto seconds = seconds_of(*found);
  if (!seconds || !std::isfinite(*seconds) || *seconds <= 0) {
    return fault(ErrorKind::kProtocol,
                 "does not say how long its token lives: expires_in is no "
                 "number above 0");
  }
  const double most = static_cast<double>(kTokenLifetimeMax.count());
  const auto lifetime = static_cast<int64_t>(std::min(*seconds * 1000, most));
  return Milliseconds(std::max<int64_t>(lifetime, 1));
}

// Wipes what the parser has kept of an answer that may hold tokens.
void wipe(Json& answer) {
  for (Json& value : answer) {
    if (auto* text = value.get_ptr<std::string*>()) const Secret wiped(std::move(*text));
  }
}

Result<AccessToken> read_grant(const Json& answer) {
  if (!answer.is_object()) {
    return fault(ErrorKind::kProtocol, "answers no JSON object: check --oauth-token-url");
  }
  const std::string* type = text_of(answer, "token_type");
  if (type == nullptr || !equals_ignoring_case(*type, "bearer")) {
    return fault(ErrorKind::kProtocol, "gives no bearer token (token_type)");
  }
  const std::string* token = text_of(answer, "access_token");
  if (token == nullptr) return fault(ErrorKind::kProtocol, "gives no access_token");
  if (token->size() > kTokenBytesMax) {
    return fault(ErrorKind::kProtocol,
                 "gives a token over " + std::to_string(kTokenBytesMax / 1024) + " KiB");
  }
  if (!is_bearer_token(*token)) {
    return fault(ErrorKind::kProtocol, "gives a token that no field can carry (RFC 6750)");
  }
  Result<Milliseconds> lifetime = read_lifetime(answer);
  if (!lifetime) return lifetime.error();
  return AccessToken{Secret(std::string(*token)), lifetime.value()};
}

}  // namespace

Result<AccessToken> read_token_answer(int status, std::string_view body) {
  Json answer = Json::parse(body, nullptr, false);
  if (status != 200) return read_refusal(status, answer);
  Result<AccessToken> grant = read_grant(answer);
  if (answer.is_object()) wipe(answer);
  return grant;
}

}  // namespace ptth
