#include "common/http1_response_parser.h"

#include "common/http_rules.h"

#include <algorithm>

namespace ptth {

namespace {

constexpr int kNoContent = 204;
constexpr int kNotModified = 304;
constexpr int kSwitchingProtocols = 101;

}  // namespace

Http1ResponseParser::Http1ResponseParser(const Http1Limits& limits, Side side)
    : limits_(limits), side_(side) {}

void Http1ResponseParser::start(Request request) {
  request_ = request;
  fault_ = Http1Fault::kNone;
  started_ = false;
  keep_alive_possible_ = false;
  start_head();
}

void Http1ResponseParser::start_head() {
  state_ = State::kStatusLine;
  head_.status = 0;
  head_.fields.clear();
  head_.body = BodyKind::kNone;
  head_.content_length = 0;
  lines_.start(limits_.head_bytes);
}

Http1Event Http1ResponseParser::next(Bytes& input) {
  switch (state_) {
    case State::kStatusLine:
    case State::kFields:
      return next_in_head(input);
    case State::kInterimEnd:
      start_head();
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

Http1Event Http1ResponseParser::finish() {
  if (state_ == State::kEnd) return Http1Event::kEnd;
  if (state_ == State::kFailed) return Http1Event::kFailed;
  if (state_ == State::kBody && body_.ends_with_stream()) {
    state_ = State::kEnd;
    return Http1Event::kEnd;
  }
  return fail(Http1Fault::kUnexpectedEnd);
}

Http1Event Http1ResponseParser::next_in_head(Bytes& input) {
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
    Http1Fault fault = Http1Fault::kNone;
    if (state_ == State::kStatusLine) {
      fault = parse_status_line(line);
      state_ = State::kFields;
    } else if (line.empty()) {
      return end_head();
    } else {
      fault = fields_.add_line(line, head_.fields);
    }
    if (fault != Http1Fault::kNone) return fail(fault);
  }
}

// HTTP-version SP status-code [ SP reason-phrase ]. The grammar wants the second space even without
// a reason; its absence misleads nobody and is common.
Http1Fault Http1ResponseParser::parse_status_line(std::string_view line) {
  constexpr std::string_view kVersionPrefix = "HTTP/1.";
  constexpr size_t kStatusAt = kVersionPrefix.size() + 2;
  constexpr size_t kReasonAt = kStatusAt + 3;
  if (!line.starts_with(kVersionPrefix)) {
    return line.starts_with("HTTP/") ? Http1Fault::kVersion : Http1Fault::kStartLine;
  }
  if (line.size() < kReasonAt || line[kStatusAt - 1] != ' ') return Http1Fault::kStartLine;
  const char minor = line[kVersionPrefix.size()];
  if (minor != '0' && minor != '1') return Http1Fault::kVersion;
  http_1_1_ = minor == '1';
  const std::string_view status = line.substr(kStatusAt, 3);
  if (!std::all_of(status.begin(), status.end(), is_digit)) return Http1Fault::kStartLine;
  head_.status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
  if (line.size() > kReasonAt) {
    if (line[kReasonAt] != ' ') return Http1Fault::kStartLine;
    if (!is_field_value(line.substr(kReasonAt))) return Http1Fault::kStartLine;
  }
  if (head_.status < 100 || head_.status > 599) return Http1Fault::kStatus;
  const bool may_switch = request_ == Request::kUpgrade && http_1_1_;
  if (head_.status == kSwitchingProtocols && !may_switch) return Http1Fault::kStatus;
  const bool may_tell_length = head_.status >= 200 && head_.status != kNoContent;
  fields_.start(
      may_tell_length ? Http1Section::kResponseHead : Http1Section::kResponseHeadWithoutLength,
      limits_.fields);
  return Http1Fault::kNone;
}

Http1Event Http1ResponseParser::end_head() {
  if (fields_.chunked()) {
    if (!http_1_1_) return fail(Http1Fault::kTransferEncoding);
    if (fields_.content_length().has_value()) return fail(Http1Fault::kAmbiguousLength);
  }
  fields_.remove_nominated(head_.fields);
  if (head_.status == kSwitchingProtocols) {
    // Whose bytes would those be?
    if (fields_.chunked()) return fail(Http1Fault::kTransferEncoding);
    body_.start_length(0);
    state_ = State::kEnd;
    return Http1Event::kHead;
  }
  if (head_.status < 200) {
    state_ = State::kInterimEnd;
    return Http1Event::kInterimHead;
  }
  start_body();
  return Http1Event::kHead;
}

// RFC 9112 section 6.3, in its order.
void Http1ResponseParser::start_body() {
  bool end_is_told = true;
  if (request_ == Request::kHead || head_.status == kNoContent || head_.status == kNotModified) {
    body_.start_length(0);
  } else if (fields_.chunked()) {
    head_.body = BodyKind::kUnknown;
    body_.start_chunked(limits_);
  } else if (fields_.content_length().has_value()) {
    head_.body = BodyKind::kLength;
    head_.content_length = *fields_.content_length();
    body_.start_length(head_.content_length);
  } else {
    head_.body = BodyKind::kUnknown;
    body_.start_until_close();
    end_is_told = false;
  }
  keep_alive_possible_ = http_1_1_ && end_is_told && !fields_.connection().close();
  state_ = State::kBody;
}

Http1Event Http1ResponseParser::next_in_body(Bytes& input) {
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

Http1Event Http1ResponseParser::fail(Http1Fault fault) {
  fault_ = fault;
  keep_alive_possible_ = false;
  state_ = State::kFailed;
  return Http1Event::kFailed;
}

}  // namespace ptth
