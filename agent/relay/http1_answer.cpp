#include "agent/relay/http1_answer.h"

#include <algorithm>

namespace ptth {

namespace {

// Memory for framing that a connection keeps; a large head gives back what it took.
constexpr size_t kTextBytesKept = 4096;

}  // namespace

void Http1Answer::start(Request request) {
  request_ = request;
  body_ = BodyKind::kNone;
  body_bytes_left_ = 0;
  has_head_ = false;
  asked_for_body_ = false;
  announces_close_ = false;
}

void Http1Answer::write_interim(const ResponseHead& head) {
  if (request_.http_1_0) return;
  if (!write_response_head(head, {}, text_)) return;
  asked_for_body_ |= head.status == 100;
  send(text_);
}

void Http1Answer::write_head(const ResponseHead& head, Http1Connection connection) {
  const bool ends_with_connection = request_.http_1_0 && head.body == BodyKind::kUnknown;
  announces_close_ = connection == Http1Connection::kClose || ends_with_connection;
  has_head_ = true;
  body_ = head.body;
  body_bytes_left_ = head.body == BodyKind::kLength ? head.content_length : 0;
  const Http1ResponseOptions options{
      announces_close_ ? Http1Connection::kClose : Http1Connection::kKeepAlive, request_.http_1_0,
      request_.is_head, via_};
  is_broken_ = !write_response_head(head, options, text_);
  send(text_);
}

void Http1Answer::write_body(Bytes bytes) {
  switch (body_) {
    case BodyKind::kNone:
      is_broken_ |= !bytes.empty();
      return;
    case BodyKind::kLength:
      is_broken_ |= bytes.size() > body_bytes_left_;
      if (is_broken_) return;
      body_bytes_left_ -= bytes.size();
      stream_.write(bytes);
      return;
    case BodyKind::kUnknown:
      break;
  }
  if (request_.http_1_0) {
    stream_.write(bytes);
    return;
  }
  write_chunk_begin(bytes.size(), text_);
  send(text_);
  stream_.write(bytes);
  write_chunk_end(text_);
  send(text_);
}

void Http1Answer::write_end(const FieldList& trailers) {
  is_broken_ |= body_bytes_left_ > 0;
  if (is_broken_ || body_ != BodyKind::kUnknown || request_.http_1_0) return;
  write_last_chunk(trailers, text_);
  send(text_);
}

void Http1Answer::send(ByteQueue& text) {
  stream_.write(text.front());
  text.clear();
  text.shrink(kTextBytesKept);
}

}  // namespace ptth
