#include "common/http1_request_parser.h"

#include "common/authority.h"

#include <algorithm>

namespace ptth {

namespace {

// "HTTP/" digit "." digit, of any digits.
bool looks_like_version(std::string_view text) {
  return text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' &&
         is_digit(text[7]);
}

Authority without_default_port(Authority authority, Scheme scheme) {
  if (authority.port == default_port(scheme)) authority.port = 0;
  return authority;
}

}  // namespace

Http1RequestParser::Http1RequestParser(Scheme scheme, const Http1Limits& limits, Side side)
    : scheme_(scheme), limits_(limits), side_(side) {}

void Http1RequestParser::start() {
  state_ = State::kFirstLine;
  fault_ = Http1Fault::kNone;
  keep_alive_possible_ = false;
  expects_continue_ = false;
  started_ = false;
  target_is_absolute_ = false;
  head_.method.clear();
  head_.scheme.assign(to_string(scheme_));
  head_.authority.clear();
  head_.path.clear();
  head_.fields.clear();
  head_.body = BodyKind::kNone;
  head_.content_length = 0;
  lines_.start(limits_.head_bytes);
  fields_.start(Http1Section::kRequestHead, limits_.fields);
}

Http1Event Http1RequestParser::next(Bytes& input) {
  switch (state_) {
    case State::kFirstLine:
    case State::kRequestLine:
    case State::kFields:
      return next_in_head(input);
    case State::kBody:
      return next_in_body(input);
    case State::kEnd:
      return Http1Event::kEnd;
    case State::kFailed:
      return Http1Event::kFailed;
  }
  return Http1Event::kFailed;
}

Http1Event Http1RequestParser::finish() {
  if (state_ == State::kFailed) return Http1Event::kFailed;
  if (state_ == State::kEnd || !started_) return Http1Event::kEnd;
  return fail(Http1Fault::kUnexpectedEnd);
}

int Http1RequestParser::status() const {
  switch (fault_) {
    case Http1Fault::kHeadTooLarge:
    case Http1Fault::kTooManyFields:
      return 431;
    case Http1Fault::kVersion:
      return 505;
    case Http1Fault::kTransferEncoding:
    case Http1Fault::kMethodUnsupported:
      return 501;
    case Http1Fault::kExpectation:
      return 417;
    case Http1Fault::kNone:
    case Http1Fault::kBareLf:
    case Http1Fault::kStartLine:
    case Http1Fault::kStatus:
    case Http1Fault::kFolding:
    case Http1Fault::kFieldName:
    case Http1Fault::kFieldValue:
    case Http1Fault::kConnection:
    case Http1Fault::kContentLength:
    case Http1Fault::kAmbiguousLength:
    case Http1Fault::kChunkSize:
    case Http1Fault::kChunkExtension:
    case Http1Fault::kChunkEnd:
    case Http1Fault::kTarget:
    case Http1Fault::kHost:
    case Http1Fault::kUnexpectedEnd:
      return 400;
  }
  return 400;
}

Http1Event Http1RequestParser::next_in_head(Bytes& input) {
  if (!input.empty()) started_ = true;
  while (true) {
    switch (lines_.next(input)) {
      case Http1LineReader::Status::kNeedMore:
        return Http1Event::kNeedMore;
      case Http1LineReader::Status::kFault:
        return fail(lines_.fault());
      case Http1LineReader::Status::kLine:
        break;
    }
    const std::string_view line = lines_.line();
    if (state_ == State::kFields && line.empty()) return end_head();
    const Http1Fault fault = take_line(line);
    if (fault != Http1Fault::kNone) return fail(fault);
    if (state_ == State::kRequestLine) started_ = !input.empty();
  }
}

Http1Fault Http1RequestParser::take_line(std::string_view line) {
  if (state_ == State::kFields) return fields_.add_line(line, head_.fields);
  if (state_ == State::kFirstLine && line.empty()) {
    // Old clients send one CRLF too many behind a body (RFC 9112 section 2.2).
    state_ = State::kRequestLine;
    return Http1Fault::kNone;
  }
  state_ = State::kFields;
  return parse_request_line(line);
}

// method SP request-target SP HTTP-version
Http1Fault Http1RequestParser::parse_request_line(std::string_view line) {
  const size_t method_end = line.find(' ');
  if (method_end == std::string_view::npos) return Http1Fault::kStartLine;
  const size_t target_end = line.find(' ', method_end + 1);
  if (target_end == std::string_view::npos) return Http1Fault::kStartLine;
  const std::string_view method = line.substr(0, method_end);
  const std::string_view version = line.substr(target_end + 1);
  if (!is_token(method) || !looks_like_version(version)) return Http1Fault::kStartLine;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return Http1Fault::kVersion;
  // Its target is an authority and its body a tunnel: nothing here could serve it.
  if (method == "CONNECT") return Http1Fault::kMethodUnsupported;
  http_1_1_ = version == "HTTP/1.1";
  head_.method.assign(method);
  return parse_target(line.substr(method_end + 1, target_end - method_end - 1));
}

Http1Fault Http1RequestParser::parse_target(std::string_view target) {
  constexpr std::string_view kSeparator = "://";
  if (is_request_path(target, head_.method)) {
    head_.path.assign(target);
    return Http1Fault::kNone;
  }
  // Absolute form (RFC 9112 section 3.2.2).
  const size_t separator = target.find(kSeparator);
  if (separator == std::string_view::npos) return Http1Fault::kTarget;
  const auto scheme = parse_scheme(target.substr(0, separator));
  if (!scheme.has_value()) return Http1Fault::kTarget;
  const std::string_view rest = target.substr(separator + kSeparator.size());
  const size_t path_at = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view path = rest.substr(path_at);
  if (!parse_authority(rest.substr(0, path_at)).ok()) return Http1Fault::kTarget;
  if (path.empty()) {
    head_.path.assign(head_.method == "OPTIONS" ? "*" : "/");
  } else {
    head_.path.assign(path.front() == '/' ? "" : "/").append(path);
  }
  if (!is_request_path(head_.path, head_.method)) return Http1Fault::kTarget;
  head_.scheme.assign(to_string(*scheme));
  head_.authority.assign(rest.substr(0, path_at));
  target_is_absolute_ = true;
  return Http1Fault::kNone;
}

// Exactly one Host in HTTP/1.1 (RFC 9112 section 3.2); where the target names an authority, the
// same.
Http1Fault Http1RequestParser::check_host() {
  const std::string& host = fields_.host();
  if (fields_.host_count() > 1 || (http_1_1_ && fields_.host_count() == 0)) {
    return Http1Fault::kHost;
  }
  if (fields_.host_count() == 0) return Http1Fault::kNone;
  if (!target_is_absolute_ && host.empty()) return Http1Fault::kNone;
  const Result<Authority> authority = parse_authority(host);
  if (!authority.ok()) return Http1Fault::kHost;
  if (!target_is_absolute_) {
    head_.authority.assign(host);
    return Http1Fault::kNone;
  }
  const Scheme scheme = parse_scheme(head_.scheme).value_or(scheme_);
  const bool same = without_default_port(authority.value(), scheme) ==
                    without_default_port(parse_authority(head_.authority).value(), scheme);
  return same ? Http1Fault::kNone : Http1Fault::kHost;
}

Http1Event Http1RequestParser::end_head() {
  const Http1Fault host_fault = check_host();
  if (host_fault != Http1Fault::kNone) return fail(host_fault);
  if (fields_.chunked() && !http_1_1_) return fail(Http1Fault::kTransferEncoding);
  if (fields_.chunked() && fields_.content_length().has_value()) {
    return fail(Http1Fault::kAmbiguousLength);
  }
  if (fields_.unknown_expectation()) return fail(Http1Fault::kExpectation);
  fields_.remove_nominated(head_.fields);
  start_body();
  // HTTP/1.0 does not know it (RFC 9110 section 10.1.1).
  expects_continue_ = http_1_1_ && fields_.expects_continue() && head_.body != BodyKind::kNone;
  keep_alive_possible_ = http_1_1_ && !fields_.connection().close();
  return Http1Event::kHead;
}

void Http1RequestParser::start_body() {
  state_ = State::kBody;
  if (fields_.chunked()) {
    head_.body = BodyKind::kUnknown;
    body_.start_chunked(limits_);
    return;
  }
  if (fields_.content_length().has_value()) {
    head_.body = BodyKind::kLength;
    head_.content_length = *fields_.content_length();
  }
  body_.start_length(head_.content_length);
}

Http1Event Http1RequestParser::next_in_body(Bytes& input) {
  switch (body_.next(input)) {
    case Http1BodyReader::Status::kNeedMore:
      return Http1Event::kNeedMore;
    case Http1BodyReader::Status::kBytes:
      return Http1Event::kBody;
    case Http1BodyReader::Status::kEnd:
      state_ = State::kEnd;
      return Http1Event::kEnd;
    case Http1BodyReader::Status::kFault:
      return fail(body_.fault());
  }
  return fail(Http1Fault::kUnexpectedEnd);
}

Http1Event Http1RequestParser::fail(Http1Fault fault) {
  fault_ = fault;
  keep_alive_possible_ = false;
  state_ = State::kFailed;
  return Http1Event::kFailed;
}

}  // namespace ptth
