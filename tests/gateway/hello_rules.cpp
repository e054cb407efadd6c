#include "tests/gateway/hello_rules.h"

#include "common/authority.h"
#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace ptth::dev {

namespace {

constexpr std::string_view kPtthBegin = "/.well-known/ptth/";

struct Status {
  int code;
  std::string_view reason;
};

constexpr std::array<Status, 11> kReasons{{{204, "No Content"},
                                           {400, "Bad Request"},
                                           {401, "Unauthorized"},
                                           {403, "Forbidden"},
                                           {404, "Not Found"},
                                           {405, "Method Not Allowed"},
                                           {408, "Request Timeout"},
                                           {426, "Upgrade Required"},
                                           {429, "Too Many Requests"},
                                           {500, "Internal Server Error"},
                                           {503, "Service Unavailable"}}};

std::string_view reason_of(int status) {
  for (const Status& known : kReasons) {
    if (known.code == status) return known.reason;
  }
  return "Other";
}

std::string_view token_of(WorkerProfile profile) {
  return profile == WorkerProfile::kPtth ? "ptth" : "reverse";
}

int hex_value(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

// Nothing unless what had to be encoded is, in upper case (RFC 3986 section 2.1), and nothing else.
template <class Literal>
std::optional<std::string> decode(std::string_view text, Literal is_literal) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '%') {
      if (!is_literal(text.front())) return std::nullopt;
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 3 || hex_value(text[1]) < 0 || hex_value(text[2]) < 0) return std::nullopt;
    const auto byte = static_cast<char>(hex_value(text[1]) * 16 + hex_value(text[2]));
    if (is_literal(byte)) return std::nullopt;
    out += byte;
    text.remove_prefix(3);
  }
  return out;
}

bool is_unreserved(char byte) {
  const char lower = ascii_lower(byte);
  return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
         std::string_view("-._~").find(byte) != std::string_view::npos;
}

// RFC 7639 section 2.2.
bool is_alpn_literal(char byte) {
  return byte != '%' && lower_token_byte(byte) != 0;
}

HelloVerdict no(int status, std::string text) {
  return {status, std::move(text)};
}

// One member of the list serialized_origin.
HelloVerdict judge_origin(const HelloRules& rules, std::string_view encoded) {
  const auto origin = decode(encoded, is_unreserved);
  if (!origin) {
    return no(400, "\"" + std::string(encoded) + "\" is not percent-encoded as RFC 6570 has it");
  }
  const auto parsed = parse_served_origin(*origin);
  if (!parsed || parsed.value().is_wildcard || to_string(parsed.value()) != *origin) {
    return no(400, "\"" + *origin + "\" is no ASCII serialization of an origin (RFC 6454)");
  }
  const auto& allowed = rules.origins;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), *origin) == allowed.end()) {
    return no(403, "this worker may not register " + *origin);
  }
  return {101, *origin};
}

HelloVerdict judge_origins(const HelloRules& rules, std::string_view path) {
  if (!path.starts_with(kPtthBegin)) {
    return no(404, "the path does not begin with " + std::string(kPtthBegin));
  }
  path.remove_prefix(kPtthBegin.size());
  if (!path.ends_with('/') || path.find('/') != path.size() - 1) {
    return no(404, "one segment with the origins is expected, and a / behind it");
  }
  path.remove_suffix(1);
  std::string registered;
  while (true) {
    const size_t comma = path.find(',');
    HelloVerdict one = judge_origin(rules, path.substr(0, comma));
    if (one.status != 101) return one;
    registered += (registered.empty() ? "" : " ") + one.text;
    if (comma == std::string_view::npos) return {101, registered};
    path.remove_prefix(comma + 1);
  }
}

HelloVerdict judge_place(const HelloRules& rules, const RequestHead& head) {
  if (rules.profile == WorkerProfile::kPtth) return judge_origins(rules, head.path);
  if (!rules.path.empty() && head.path != rules.path) {
    return no(404, "the path is not " + rules.path);
  }
  return {101, head.path};
}

// RFC 7639; the draft of ptth wants the field, its predecessor allows it.
HelloVerdict judge_channels(const HelloRules& rules, const FieldList& fields) {
  bool is_present = false;
  bool has_h2 = false;
  for (const Field field : fields) {
    if (field.name != "alpn") continue;
    is_present = true;
    std::string_view list = field.value;
    while (const auto member = take_list_member(list)) {
      const auto id = decode(*member, is_alpn_literal);
      if (!id) return no(400, "ALPN: \"" + std::string(*member) + "\" is not as RFC 7639 has it");
      has_h2 = has_h2 || *id == "h2";
    }
  }
  if (!is_present && rules.profile == WorkerProfile::kPtth) return no(400, "ALPN is missing");
  if (is_present && !has_h2) return no(400, "ALPN: h2 is not offered, and nothing else is served");
  return {};
}

HelloVerdict judge_credentials(const HelloRules& rules, const FieldList& fields) {
  if (rules.token.empty()) return {};
  const auto value = fields.find("authorization");
  if (!value) return no(401, "no credentials: a bearer token is expected");
  const size_t space = value->find(' ');
  const bool is_bearer =
      space != std::string_view::npos && equals_ignoring_case(value->substr(0, space), "bearer");
  if (!is_bearer) return no(401, "other credentials than a bearer token");
  if (!(Secret(std::string(trim_whitespace(value->substr(space)))) == rules.token)) {
    return no(401, "a bearer token that is not the right one");
  }
  return {};
}

}  // namespace

HelloVerdict judge_hello(const HelloRules& rules, const RequestHead& head,
                         std::string_view upgrade) {
  const std::string token(token_of(rules.profile));
  if (head.method != "GET") return no(405, "the method is " + head.method + " and not GET");
  if (upgrade.empty()) return no(426, "no upgrade is asked for (Connection and Upgrade)");
  bool asks = false;
  while (const auto member = take_list_member(upgrade))
    asks = asks || equals_ignoring_case(*member, token);
  if (!asks) return no(426, "the upgrade that is asked for is not " + token);
  if (head.body != BodyKind::kNone && head.content_length > 0) return no(400, "there is a body");
  if (head.body == BodyKind::kUnknown) return no(400, "there is a body");
  HelloVerdict place = judge_place(rules, head);
  if (place.status == 404) return place;
  if (auto verdict = judge_credentials(rules, head.fields); verdict.status != 101) return verdict;
  if (place.status != 101) return place;
  if (auto verdict = judge_channels(rules, head.fields); verdict.status != 101) return verdict;
  return place;
}

std::string hello_answer(const HelloRules& rules, const HelloVerdict& verdict) {
  const std::string token(token_of(rules.profile));
  if (verdict.status == 101) {
    const char* const choice = rules.profile == WorkerProfile::kPtth ? "ALPN" : "Selected-ALPN";
    return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + token + "\r\n" +
           choice + ": h2\r\n\r\n";
  }
  std::string out = "HTTP/1.1 " + std::to_string(verdict.status) + " " +
                    std::string(reason_of(verdict.status)) + "\r\n";
  if (verdict.status == 204) return out + "\r\n";
  if (verdict.status == 401) out += "WWW-Authenticate: Bearer\r\n";
  if (verdict.status == 405) out += "Allow: GET\r\n";
  if (verdict.status == 429 || verdict.status == 503) out += "Retry-After: 1\r\n";
  if (verdict.status == 426) out += "Upgrade: " + token + "\r\n";
  out += verdict.status == 426 ? "Connection: upgrade, close\r\n" : "Connection: close\r\n";
  const std::string body = verdict.text + "\n";
  return out + "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

}  // namespace ptth::dev
