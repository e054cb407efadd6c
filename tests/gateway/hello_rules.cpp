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

constexpr std::array<Status, 14> kReasons{{{200, "OK"},
                                           {204, "No Content"},
                                           {307, "Temporary Redirect"},
                                           {308, "Permanent Redirect"},
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
  switch (profile) {
    case WorkerProfile::kPtth10:
      return "PTTH/1.0";
    case WorkerProfile::kEnvoy:
      return "reverse-tunnel";
    case WorkerProfile::kReverse:
    case WorkerProfile::kReverseConnect:
      return "reverse";
    default:
      return "ptth";
  }
}

std::string_view method_of(WorkerProfile profile) {
  if (asks_by_connect(profile)) return "CONNECT";
  return profile == WorkerProfile::kPtth10 ? "POST" : "GET";
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

HelloVerdict yes(std::string text) {
  return no_because(101, std::move(text));
}

// One member of the list serialized_origin.
HelloVerdict judge_origin(const HelloRules& rules, std::string_view worker,
                          std::string_view encoded) {
  const auto origin = decode(encoded, is_unreserved);
  if (!origin) {
    return no_because(400,
                      "\"" + std::string(encoded) + "\" is not percent-encoded as RFC 6570 has it");
  }
  const auto parsed = parse_served_origin(*origin);
  if (!parsed || parsed.value().is_wildcard || to_string(parsed.value()) != *origin) {
    return no_because(400, "\"" + *origin + "\" is no ASCII serialization of an origin (RFC 6454)");
  }
  if (!rules.origins.allow(worker, *origin))
    return no_because(403, may_not_register(worker, *origin));
  return yes(*origin);
}

// The form of the path; what it registers is looked at when the worker is known.
HelloVerdict judge_place(const HelloRules& rules, std::string_view path) {
  if (!registers_origins(rules.profile)) {
    if (rules.path.empty() || path == rules.path) return yes(std::string(path));
    return no_because(404, "the path is not " + rules.path);
  }
  if (!path.starts_with(kPtthBegin)) {
    return no_by_source(rules, 404, "the path does not begin with " + std::string(kPtthBegin));
  }
  path.remove_prefix(kPtthBegin.size());
  if (!path.ends_with('/') || path.find('/') != path.size() - 1) {
    return no_by_source(rules, 404, "one segment with the origins is expected, and a / behind it");
  }
  return yes(std::string(path.substr(0, path.size() - 1)));
}

HelloVerdict judge_origins(const HelloRules& rules, std::string_view worker,
                           std::string_view list) {
  std::string registered;
  while (true) {
    const size_t comma = list.find(',');
    HelloVerdict one = judge_origin(rules, worker, list.substr(0, comma));
    if (!one.is_yes()) return one;
    registered += (registered.empty() ? "" : " ") + one.text;
    if (comma == std::string_view::npos) return yes(registered);
    list.remove_prefix(comma + 1);
  }
}

// RFC 7639; the draft of ptth wants the field, its predecessor allows it.
HelloVerdict judge_channels(const HelloRules& rules, const FieldList& fields) {
  bool is_present = false;
  bool has_http2 = false;
  bool has_http1 = false;
  for (const Field field : fields) {
    if (field.name != "alpn") continue;
    is_present = true;
    std::string_view list = field.value;
    while (const auto member = take_list_member(list)) {
      const auto id = decode(*member, is_alpn_literal);
      if (!id)
        return no_because(400, "ALPN: \"" + std::string(*member) + "\" is not as RFC 7639 has it");
      has_http2 = has_http2 || *id == to_string(Channel::kHttp2);
      has_http1 = has_http1 || *id == to_string(Channel::kHttp1);
    }
  }
  if (!is_present && registers_origins(rules.profile)) {
    return no_by_source(rules, 400, "ALPN is missing");
  }
  if (is_present && !has_http2 && !has_http1) {
    return no_because(400, "ALPN: neither h2 nor http/1.1 is offered, and nothing else is served");
  }
  HelloVerdict verdict;
  const bool http1_wanted = rules.preferred == Channel::kHttp1 || (is_present && !has_http2);
  if (http1_wanted && (has_http1 || !is_present)) verdict.channel = Channel::kHttp1;
  return verdict;
}

// The form that HTTP/1.1 has for it.
HelloVerdict judge_upgrade(const HelloRules& rules, const HeardHello& hello) {
  const std::string token(token_of(rules.profile));
  if (hello.upgrade.empty()) {
    return no_by_source(rules, 426, "no upgrade is asked for (Connection and Upgrade)");
  }
  if (!asks_for_upgrade(hello.upgrade, token)) {
    return no_by_source(rules, 426, "the upgrade that is asked for is not " + token);
  }
  return {};
}

// RFC 8441 section 4.
HelloVerdict judge_protocol(const HelloRules& rules, const HeardHello& hello) {
  const std::string token(token_of(rules.profile));
  if (hello.upgrade.empty()) {
    return no_by_source(rules, 400,
                        "a CONNECT without :protocol asks for a proxy, and here is none");
  }
  if (!equals_ignoring_case(hello.upgrade, token)) {
    return no_by_source(rules, 501,
                        "the :protocol is " + std::string(hello.upgrade) + " and not " + token);
  }
  HelloVerdict verdict;
  verdict.status = 200;
  return verdict;
}

HelloVerdict judge_form(const HelloRules& rules, const HeardHello& hello) {
  const std::string method(method_of(rules.profile));
  if (hello.head.method != method) {
    return no_by_source(rules, 405, "the method is " + hello.head.method + " and not " + method);
  }
  const HelloVerdict verdict =
      asks_by_connect(rules.profile) ? judge_protocol(rules, hello) : judge_upgrade(rules, hello);
  if (verdict.is_yes() && has_body(hello.head)) return no_by_source(rules, 400, "there is a body");
  return verdict;
}

std::string field_line(std::string_view name, std::string_view value) {
  return std::string(name) + ": " + std::string(value) + "\r\n";
}

std::string lines_of(const AnswerFields& fields) {
  std::string out;
  for (const auto& [name, value] : fields)
    out += field_line(name, value);
  return out;
}

std::string yes_text(const HelloRules& rules, const HelloVerdict& verdict) {
  if (verdict.status == 200) return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" +
         field_line("Upgrade", token_of(rules.profile)) + lines_of(answer_fields(rules, verdict)) +
         "\r\n";
}

}  // namespace

HelloVerdict no_because(int status, std::string text) {
  HelloVerdict verdict;
  verdict.status = status;
  verdict.text = std::move(text);
  return verdict;
}

HelloVerdict no_by_fault(int status, const RequestHead& head) {
  HelloVerdict verdict = no_because(status, "by fault");
  if (status == 307 || status == 308) {
    verdict.location = head.scheme + "://" + head.authority + head.path;
  }
  return verdict;
}

HelloVerdict no_by_source(const HelloRules& rules, int status, std::string text) {
  return no_because(status, text + " (" + std::string(source_of(rules.profile)) + ")");
}

bool asks_for_upgrade(std::string_view upgrade, std::string_view token) {
  std::string lower_case(token);
  std::ranges::transform(lower_case, lower_case.begin(), ascii_lower);
  while (const auto member = take_list_member(upgrade)) {
    if (equals_ignoring_case(*member, lower_case)) return true;
  }
  return false;
}

bool has_body(const RequestHead& head) {
  return head.body == BodyKind::kUnknown ||
         (head.body == BodyKind::kLength && head.content_length > 0);
}

HelloVerdict judge_hello(const HelloRules& rules, const HeardHello& hello) {
  if (rules.profile == WorkerProfile::kEnvoy) return judge_envoy_hello(rules, hello);
  const RequestHead& head = hello.head;
  const HelloVerdict form = judge_form(rules, hello);
  if (!form.is_yes()) return form;
  const HelloVerdict place = judge_place(rules, head.path);
  if (!place.is_yes()) return place;
  CredentialVerdict credentials = judge_credentials(rules.credentials, head.fields);
  if (!credentials.wrong.empty()) return no_because(401, std::move(credentials.wrong));
  const std::string worker = hello.worker.empty() ? credentials.user : std::string(hello.worker);
  HelloVerdict verdict =
      registers_origins(rules.profile) ? judge_origins(rules, worker, place.text) : yes(place.text);
  if (!verdict.is_yes()) return verdict;
  verdict.status = form.status;
  verdict.worker = worker;
  verdict.channel = Channel::kHttp1;
  if (rules.profile == WorkerProfile::kPtth10) return verdict;
  HelloVerdict channels = judge_channels(rules, head.fields);
  if (!channels.is_yes()) return channels;
  verdict.channel = channels.channel;
  return verdict;
}

AnswerFields answer_fields(const HelloRules& rules, const HelloVerdict& verdict) {
  const std::string channel = verdict.channel == Channel::kHttp1 ? "http%2F1.1" : "h2";
  AnswerFields fields;
  if (verdict.is_yes()) {
    const bool is_reverse = token_of(rules.profile) == "reverse";
    if (registers_origins(rules.profile)) fields.emplace_back("ALPN", channel);
    if (is_reverse) fields.emplace_back("Selected-ALPN", channel);
    return fields;
  }
  const int status = verdict.status;
  if (status == 401) {
    for (const std::string& challenge : rules.credentials.challenges())
      fields.emplace_back("WWW-Authenticate", challenge);
  }
  if (status == 405) fields.emplace_back("Allow", method_of(rules.profile));
  if (status == 429 || status == 503) fields.emplace_back("Retry-After", "1");
  if (!verdict.location.empty()) fields.emplace_back("Location", verdict.location);
  if (status != 204) fields.emplace_back("Content-Type", "text/plain");
  return fields;
}

std::string answer_body(const HelloVerdict& verdict) {
  return verdict.status == 204 ? std::string() : verdict.text + "\n";
}

std::string hello_answer(const HelloRules& rules, const HelloVerdict& verdict) {
  if (verdict.is_yes()) return yes_text(rules, verdict);
  const int status = verdict.status;
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_of(status)) +
                    "\r\n" + lines_of(answer_fields(rules, verdict));
  if (status == 204) return out + "\r\n";
  if (status == 426) out += field_line("Upgrade", token_of(rules.profile));
  out += status == 426 ? "Connection: upgrade, close\r\n" : "Connection: close\r\n";
  const std::string body = answer_body(verdict);
  return out + field_line("Content-Length", std::to_string(body.size())) + "\r\n" + body;
}

}  // namespace ptth::dev
