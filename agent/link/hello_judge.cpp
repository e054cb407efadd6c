#include "agent/link/hello_judge.h"

#include "common/http_rules.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

namespace ptth {

namespace {

constexpr int kSwitchingProtocols = 101;
constexpr int kNoContent = 204;
constexpr size_t kNameShownMax = 60;
// A secret that is shorter is in many a text by chance.
constexpr size_t kSecretSizeMin = 6;
constexpr size_t kSecretPieceSize = 16;

HttpTime system_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::string joined(const std::vector<std::string>& ids) {
  std::string out;
  for (const std::string& id : ids) {
    if (!out.empty()) out += ", ";
    out += encode_alpn_id(id);
  }
  return out;
}

// In what an answer says no, to the words that tell an operator what to look at.
struct Refusal {
  ErrorKind kind;
  std::string text;
};

// RFC 9110 section 15, from the view of one who asked for an upgrade.
Refusal refusal_of(int status) {
  using enum ErrorKind;
  switch (status) {
    case 400:
      return {kConfiguration,
              "the gateway did not understand the hello: does it speak this profile, in this "
              "revision?"};
    case 401:
    case 407:
      return {kRefused, "the gateway did not accept our credentials, or wants some"};
    case 403:
      return {kRefused, "the gateway does not let this worker register what it asked for"};
    case 404:
    case 410:
      return {kConfiguration,
              "the gateway has nothing at the hello's URI: check --hello-uri or --hello-template, "
              "and --serve"};
    case 405:
      return {kConfiguration,
              "the gateway takes no such request at the hello's URI: check it, and --profile"};
    case 408:
    case 425:
      return {kUnavailable, "the gateway could not take the hello this time"};
    case 421:
      return {kConfiguration, "the gateway does not answer for the host of the hello's URI"};
    case 426:
      return {kConfiguration,
              "the gateway asks for another upgrade: another --profile, or --hello-token"};
    case 429:
      return {kUnavailable, "the gateway has heard from us too often"};
    case 503:
      return {kUnavailable, "the gateway has no room for us now"};
    default:
      break;
  }
  if (status >= 500) return {kUnavailable, "the gateway failed"};
  if (status >= 400) return {kConfiguration, "the gateway refused the hello"};
  if (status >= 300) {
    return {kConfiguration, "the gateway is not here; give its new URL in the configuration"};
  }
  return {kConfiguration,
          "the gateway answered like a plain web server: it does not reverse connections at the "
          "hello's URI, or not with this profile"};
}

// All of it if it is short, or any longer piece of it: an answer may break off.
bool repeats_piece(std::string_view text, std::string_view secret) {
  if (secret.size() < kSecretSizeMin) return false;
  const size_t size = std::min(secret.size(), kSecretPieceSize);
  for (size_t at = 0; at + size <= secret.size(); ++at) {
    if (text.find(secret.substr(at, size)) != std::string_view::npos) return true;
  }
  return false;
}

// "Basic abc": the second word is as secret as the whole.
bool repeats(std::string_view text, const Secret& secret) {
  const std::string_view whole = secret.reveal();
  return repeats_piece(text, whole) || repeats_piece(text, whole.substr(whole.rfind(' ') + 1));
}

// A parameter of a challenge (RFC 9110 section 11.2), without its quotes; empty if there is none.
std::string_view challenge_parameter(std::string_view challenge, std::string_view name) {
  std::string_view rest = challenge.substr(std::min(challenge.find(' '), challenge.size()));
  while (!rest.empty()) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t,"), rest.size()));
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return {};
    const std::string_view found = rest.substr(0, equals);
    rest.remove_prefix(equals + 1);
    const bool is_quoted = rest.starts_with('"');
    if (is_quoted) rest.remove_prefix(1);
    const size_t end = std::min(rest.find_first_of(is_quoted ? "\"" : " \t,"), rest.size());
    if (equals_ignoring_case(found, name)) return rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

}  // namespace

HelloJudge::HelloJudge(const HelloSpec& spec) : spec_(spec) {}

void HelloJudge::start(std::vector<Secret> secrets) {
  secrets_ = std::move(secrets);
  is_refused_ = false;
  body_.clear();
  error_ = {};
}

HelloOutcome HelloJudge::judge(HelloAnswer answer) {
  answer_ = std::move(answer);
  const ResponseHead& head = answer_.head;
  head_tells_secrets_ = tells_secrets(answer_.upgrade);
  for (const Field field : head.fields)
    head_tells_secrets_ = head_tells_secrets_ || tells_secrets(field.value);
  if (is_accepted()) return accept();
  if (head.status == kSwitchingProtocols) {
    return refuse(ErrorKind::kProtocol,
                  "the gateway switched protocols (101), which is no yes "
                  "in this profile");
  }
  if (head.status == kNoContent) {
    return answer_.keeps_alive ? HelloOutcome::kAskAgain : HelloOutcome::kDialAgain;
  }
  if (head.status == 307 || head.status == 308) return follow();
  Refusal refusal = refusal_of(head.status);
  refusal.text += " (" + std::to_string(head.status) + ")";
  const auto challenge = head.fields.find("www-authenticate");
  if (challenge) {
    refusal.text += ", by " + shown(challenge->substr(0, challenge->find(' ')));
    const std::string_view error = challenge_parameter(*challenge, "error");
    const std::string_view description = challenge_parameter(*challenge, "error_description");
    // RFC 6750 section 3.1: expired, revoked, malformed. A token is read anew at each dial.
    if (error == "invalid_token")
      refusal.text += ": the token has expired, or is not valid: renew it";
    if (!description.empty()) refusal.text += ": " + shown(description);
  }
  if (!answer_.upgrade.empty()) refusal.text += ", to " + shown(answer_.upgrade);
  error_ = {refusal.kind, Side::kGateway, std::move(refusal.text),
            refusal.kind == ErrorKind::kUnavailable, retry_after(head.fields, system_now())};
  is_refused_ = true;
  return HelloOutcome::kNeedMore;
}

bool HelloJudge::is_accepted() const {
  const int status = answer_.head.status;
  if (spec_.statuses.empty()) return status >= 200 && status < 300 && status != kNoContent;
  return std::find(spec_.statuses.begin(), spec_.statuses.end(), status) != spec_.statuses.end();
}

HelloOutcome HelloJudge::accept() {
  const ResponseHead& head = answer_.head;
  if (head.status == kSwitchingProtocols) {
    std::string_view protocols = answer_.upgrade;
    const auto first = take_list_member(protocols);
    const auto second = take_list_member(protocols);
    std::string token = spec_.token;
    for (char& byte : token)
      byte = ascii_lower(byte);
    if (!first || second || !equals_ignoring_case(*first, token)) {
      const std::string named = first ? shown(answer_.upgrade) : "nothing";
      return refuse(ErrorKind::kProtocol, "the gateway switched protocols (101), but to " + named +
                                              " instead of " + spec_.token);
    }
  } else if (answer_.form == HelloForm::kTunnel) {
    return choose_channel();
  } else if (head.body == BodyKind::kUnknown && answer_.keeps_alive) {
    return refuse(ErrorKind::kProtocol, "a yes with a body in chunks");
  } else if (head.content_length > 0) {
    return refuse(ErrorKind::kProtocol, "a yes with a body");
  }
  return choose_channel();
}

// One id, in one field or alike in several (protocols.md section 3).
HelloOutcome HelloJudge::choose_channel() {
  std::optional<std::string> chosen;
  for (const Field field : answer_.head.fields) {
    const bool names_choice = std::find(spec_.choice_fields.begin(), spec_.choice_fields.end(),
                                        field.name) != spec_.choice_fields.end();
    if (!names_choice) continue;
    const std::string choice = std::string(field.name) + ": " + shown(field.value);
    std::string_view list = field.value;
    size_t count = 0;
    while (const auto member = take_list_member(list)) {
      const auto id = decode_alpn_id(*member);
      if (!id) {
        return refuse(ErrorKind::kProtocol,
                      "the gateway's choice (" + choice + ") is not written as RFC 7639 has it");
      }
      if (++count > 1 || (chosen && *chosen != *id)) {
        return refuse(ErrorKind::kProtocol,
                      "the gateway chose more than one channel (" + choice + ")");
      }
      chosen = *id;
    }
    if (count == 0) return refuse(ErrorKind::kProtocol, "the gateway's choice is empty");
  }
  if (!chosen && spec_.channels.size() != 1) {
    return refuse(ErrorKind::kProtocol,
                  "the gateway said yes, but chose none of the channels that "
                  "were offered (" +
                      joined(spec_.channels) + ")");
  }
  channel_ = chosen ? *chosen : spec_.channels.front();
  if (std::find(spec_.channels.begin(), spec_.channels.end(), channel_) == spec_.channels.end()) {
    return refuse(ErrorKind::kProtocol, "the gateway chose a channel that was not offered (" +
                                            shown(encode_alpn_id(channel_)) + " instead of " +
                                            joined(spec_.channels) + ")");
  }
  return HelloOutcome::kReversed;
}

// Only to a place where the certificate says who it is, and whom the operator has named.
HelloOutcome HelloJudge::follow() {
  const auto value = answer_.head.fields.find("location");
  if (!value) return refuse(ErrorKind::kProtocol, "the gateway sends us away without saying where");
  auto location = resolve_location(*value, spec_.uri);
  const std::string to = " (" + shown(*value) + ")";
  if (!location) {
    return refuse(ErrorKind::kProtocol, "the gateway sends us away, but not to a URI" + to);
  }
  if (location.value().scheme != Scheme::kHttps) {
    return refuse(ErrorKind::kConfiguration,
                  "the gateway sends us to a place that is not encrypted" + to);
  }
  const std::string& host = location.value().authority.host;
  const auto& allowed = spec_.redirect_hosts;
  if (std::find(allowed.begin(), allowed.end(), host) == allowed.end()) {
    return refuse(ErrorKind::kConfiguration, "the gateway sends us to another host" + to +
                                                 "; if it may, name that with --redirect-host");
  }
  location_ = std::move(location).value();
  return HelloOutcome::kMoved;
}

HelloOutcome HelloJudge::refuse(ErrorKind kind, std::string detail) {
  error_ = {kind, Side::kGateway, std::move(detail), false};
  return HelloOutcome::kRefused;
}

HelloOutcome HelloJudge::refuse_closed(Began began) {
  error_ = {ErrorKind::kClosed, Side::kGateway,
            began == Began::kYes
                ? "the gateway closed the connection within its answer to the hello"
                : "the gateway closed the connection without an answer to the hello",
            true};
  return HelloOutcome::kRefused;
}

HelloOutcome HelloJudge::add_body(Bytes bytes) {
  bytes = bytes.first(std::min(bytes.size(), kBodyBytesMax - body_.size()));
  body_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return body_.size() >= kBodyBytesMax ? finish_refusal() : HelloOutcome::kNeedMore;
}

HelloOutcome HelloJudge::finish_refusal() {
  if (body_is_for_people() && !body_.empty()) {
    error_.detail += "; it says: " + (tells_secrets(body_) ? std::string(Secret::kMask)
                                                           : visible(body_, kBodyShownMax));
  }
  is_refused_ = false;
  return HelloOutcome::kRefused;
}

bool HelloJudge::body_is_for_people() const {
  const auto type = answer_.head.fields.find("content-type");
  return !type || !type->starts_with("text/html");
}

bool HelloJudge::tells_secrets(std::string_view text) const {
  return std::any_of(secrets_.begin(), secrets_.end(),
                     [text](const Secret& secret) { return repeats(text, secret); });
}

// A part of the answer's head.
std::string HelloJudge::shown(std::string_view text) const {
  return head_tells_secrets_ ? std::string(Secret::kMask) : visible(text, kNameShownMax);
}

Result<HttpUri> resolve_location(std::string_view location, const HttpUri& base) {
  location = location.substr(0, location.find('#'));  // Fragments are not for us.
  if (location.starts_with('/') && !location.starts_with("//")) {
    if (!is_request_path(location, "GET")) {
      return Error{ErrorKind::kProtocol, Side::kGateway, "malformed path", false};
    }
    HttpUri uri = base;
    uri.target = location;
    return uri;
  }
  auto uri = parse_http_uri(location);
  if (!uri) return Error{ErrorKind::kProtocol, Side::kGateway, uri.error().detail, false};
  return uri;
}

std::string visible(std::string_view text, size_t characters_max) {
  std::string out;
  bool space_before = true;
  for (const char byte : text) {
    const bool is_space = byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
    if (is_space && space_before) continue;
    space_before = is_space;
    if (out.size() == characters_max) return out.replace(characters_max - 3, 3, "...");
    if (is_space) {
      out += ' ';
    } else {
      out += byte > 0x20 && byte < 0x7f ? byte : '?';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace ptth
