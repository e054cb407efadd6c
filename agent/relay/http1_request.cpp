#include "agent/relay/http1_request.h"

namespace ptth {

namespace {

constexpr size_t kShownMethodMax = 32;
constexpr size_t kShownPathMax = 256;

}  // namespace

// The parser has taken out what is for this connection only.
Result<RequestHead> take_http1_head(const Http1RequestParser& parser, RequestReader& reader) {
  const RequestHead& head = parser.head();
  reader.add(":method", head.method);
  reader.add(":scheme", head.scheme);
  if (!head.authority.empty()) reader.add(":authority", head.authority);
  reader.add(":path", head.path);
  for (const Field field : head.fields) {
    // Of no meaning without a body, and in HTTP/1.0 (RFC 9110 section 10.1.1).
    if (field.name == "expect" && !parser.expects_continue()) continue;
    reader.add(field.name, field.value);
  }
  if (parser.accepts_trailers()) reader.add("te", "trailers");
  reader.end_head();
  if (reader.malformed() != nullptr) {
    return Error{ErrorKind::kBadRequest, Side::kGateway, reader.malformed(), false};
  }
  const bool has_body = head.body == BodyKind::kUnknown || head.content_length > 0;
  return reader.take_head(has_body ? RequestReader::Ending::kBodyFollows
                                   : RequestReader::Ending::kEndOfRequest);
}

RequestHead describe_http1_request(const Http1RequestParser& parser) {
  RequestHead description;
  description.method = parser.head().method.substr(0, kShownMethodMax);
  description.authority = parser.head().authority.substr(0, kShownPathMax);
  description.path = parser.head().path.substr(0, kShownPathMax);
  return description;
}

}  // namespace ptth
