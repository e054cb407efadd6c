#include "agent/relay/request_reader.h"

#include "common/authority.h"
#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ptth {

namespace {

Error bad_request(std::string detail) {
  return {ErrorKind::kBadRequest, Side::kGateway, std::move(detail), false};
}

bool is_forwarding_field(std::string_view name) {
  return name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-");
}

void append_list_item(std::string& list, std::string_view item) {
  if (!list.empty()) list += ", ";
  list += item;
}

// Via entries are "2.0 name", CDN-Loop entries "name; parameters" (RFC 9110 section 7.6.3, RFC
// 8586).
bool list_names_worker(std::string_view list, std::string_view worker_id) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = trim_whitespace(list.substr(0, comma));
    item = trim_whitespace(item.substr(0, item.find(';')));
    item = trim_whitespace(item.substr(0, item.find('(')));
    const size_t space = item.rfind(' ');
    const std::string_view name = space == std::string_view::npos ? item : item.substr(space + 1);
    if (name == worker_id) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

void RequestReader::add(std::string_view name, std::string_view value) {
  ++fields_;
  list_bytes_ += name.size() + value.size() + 32;
  if (fields_ > rules_.header_fields || list_bytes_ > rules_.header_list_bytes) over_limit_ = true;
  if (over_limit_ || malformed_ != nullptr) return;
  if (!is_field_value(value) || trim_whitespace(value).size() != value.size()) {
    malformed_ = "a field value has a byte that is not allowed";
    return;
  }
  if (name.starts_with(':')) {
    add_pseudo(name, value);
    return;
  }
  if (!is_lower_case_token(name)) {
    malformed_ = "a field name is not a token in lower case";
    return;
  }
  regular_seen_ = true;
  if (in_trailers_) {
    add_trailer(name, value);
  } else {
    add_field(name, value);
  }
}

void RequestReader::add_trailer(std::string_view name, std::string_view value) {
  const FieldRules& rules = field_rules(name);
  if (!rules.hop_by_hop && !rules.forbidden_in_trailers) trailers_.add(name, value);
}

void RequestReader::begin_trailers() {
  in_trailers_ = true;
  fields_ = 0;
  list_bytes_ = 0;
}

// RFC 9113 section 8.3: known, once, and before the others.
void RequestReader::add_pseudo(std::string_view name, std::string_view value) {
  static constexpr std::array<std::string_view, 5> kNames = {":method", ":scheme", ":authority",
                                                             ":path", ":protocol"};
  const std::array<std::string*, 5> places = {&head_.method, &head_.scheme, &head_.authority,
                                              &head_.path, &protocol_};
  const auto* found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end() || in_trailers_ || regular_seen_) {
    malformed_ = "a pseudo field that is unknown or out of place";
    return;
  }
  const auto index = static_cast<size_t>(found - kNames.begin());
  const unsigned bit = 1U << index;
  if ((pseudo_seen_ & bit) != 0) {
    malformed_ = "a pseudo field that comes twice";
    return;
  }
  pseudo_seen_ |= bit;
  *places[index] = value;
}

// RFC 9113 sections 8.3.1 and 8.5.
void RequestReader::end_head() {
  if (over_limit_ || malformed_ != nullptr) return;
  const bool plain_connect = head_.method == "CONNECT" && protocol_.empty();
  const bool has_target = !head_.scheme.empty() && !head_.path.empty();
  const bool fits = plain_connect ? head_.scheme.empty() && head_.path.empty() : has_target;
  if (head_.method.empty() || !fits) malformed_ = "a pseudo field is missing or has no place here";
}

void RequestReader::add_field(std::string_view name, std::string_view value) {
  if (name == "host") {
    ++hosts_;
    host_ = value;
    return;
  }
  if (name == "content-length") {
    ++content_lengths_;
    content_length_ = value;
    return;
  }
  if (name == "cookie") {
    // HTTP/2 may split the cookie; HTTP/1.1 has one field (RFC 9113 section 8.2.3).
    if (!cookie_.empty()) cookie_ += "; ";
    cookie_ += value;
    return;
  }
  if (name == "via") return append_list_item(via_, value);
  if (name == "cdn-loop") return append_list_item(cdn_loop_, value);
  const FieldRules& rules = field_rules(name);
  if (name == "te") {
    // The writer makes a valid pair of HTTP/1.1 fields of it.
    if (value != "trailers") malformed_ = "te has another value than trailers";
  } else if (rules.hop_by_hop) {
    // RFC 9113 section 8.2.2.
    malformed_ = "a field that is for one connection only";
  }
  if (malformed_ != nullptr) return;
  const bool dropped_for_underscore =
      rules_.drop_underscore_names && name.find('_') != std::string_view::npos;
  if (rules.framing_lookalike || dropped_for_underscore) {
    ++fields_dropped_;
    return;
  }
  if (rules_.forwarded != ForwardedPolicy::kTrust && is_forwarding_field(name)) return;
  head_.fields.add(name, value);
}

RequestHead RequestReader::description() const {
  RequestHead description;
  description.method = head_.method.substr(0, 32);
  description.path = head_.path.substr(0, 256);
  description.authority =
      head_.authority.empty() ? host_.substr(0, 256) : head_.authority.substr(0, 256);
  return description;
}

Result<RequestHead> RequestReader::take_head(Ending ending) {
  if (over_limit_) {
    return Error{ErrorKind::kTooLarge, Side::kGateway,
                 "the request has more than " + std::to_string(rules_.header_fields) +
                     " fields or " + std::to_string(rules_.header_list_bytes) + " bytes of them"};
  }
  if (Result<void> target = check_target(); !target) return target.error();
  if (Result<void> authority = settle_authority(); !authority) return authority.error();
  if (Result<void> body = settle_body(ending); !body) return body.error();
  if (has_passed_before()) {
    return Error{ErrorKind::kLoop, Side::kGateway, "via or cdn-loop names this worker"};
  }
  write_own_fields();
  return std::move(head_);
}

Result<void> RequestReader::check_target() {
  if (!is_token(head_.method)) return bad_request(":method is not a token");
  if (head_.method == "CONNECT" || !protocol_.empty()) {
    return Error{ErrorKind::kNotAllowed, Side::kGateway, "CONNECT has no route here"};
  }
  if (head_.method == "TRACE" && !rules_.allow_trace) {
    return Error{ErrorKind::kNotAllowed, Side::kGateway, "TRACE is off"};
  }
  if (head_.scheme != "http" && head_.scheme != "https") {
    return bad_request(":scheme is neither http nor https");
  }
  if (!is_request_path(head_.path, head_.method)) {
    return bad_request(":path is not in origin form, or has a byte that is not allowed");
  }
  return {};
}

Result<void> RequestReader::settle_authority() {
  if (hosts_ > 1) return bad_request("more than one host field");
  if (hosts_ == 0 && head_.authority.empty()) return {};
  const bool both = hosts_ == 1 && !head_.authority.empty();
  if (head_.authority.empty()) head_.authority = host_;
  const Result<Authority> authority = parse_authority(head_.authority);
  if (!authority) return bad_request(":authority or host: " + authority.error().detail);
  if (both) {
    const Result<Authority> host = parse_authority(host_);
    if (!host) return bad_request("host: " + host.error().detail);
    if (host.value() != authority.value()) return bad_request("host differs from :authority");
  }
  return {};
}

Result<void> RequestReader::settle_body(Ending ending) {
  if (content_lengths_ > 1) return bad_request("more than one content-length");
  if (content_lengths_ == 1) {
    const std::optional<uint64_t> length = parse_content_length(content_length_);
    if (!length) return bad_request("content-length is not a number");
    if (ending == Ending::kEndOfRequest && *length != 0) {
      return bad_request("content-length announces a body that does not come");
    }
    head_.body = BodyKind::kLength;
    head_.content_length = *length;
  } else if (ending == Ending::kBodyFollows) {
    head_.body = BodyKind::kUnknown;
  }
  return {};
}

bool RequestReader::has_passed_before() const {
  return list_names_worker(via_, rules_.worker_id) ||
         list_names_worker(cdn_loop_, rules_.worker_id);
}

void RequestReader::add_to_list(std::string_view name, std::string& list, std::string_view item) {
  if (list.empty()) {
    head_.fields.add(name, item);
    return;
  }
  append_list_item(list, item);
  head_.fields.add(name, list);
}

void RequestReader::write_own_fields() {
  if (!cookie_.empty()) head_.fields.add("cookie", cookie_);
  add_to_list("via", via_, rules_.via_entry);
  add_to_list("cdn-loop", cdn_loop_, rules_.worker_id);
  if (rules_.forwarded == ForwardedPolicy::kReplace) {
    head_.fields.add("x-forwarded-proto", head_.scheme);
    if (!head_.authority.empty()) head_.fields.add("x-forwarded-host", head_.authority);
  }
}

}  // namespace ptth
