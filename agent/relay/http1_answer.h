#pragma once

// Http1Answer: writes the answers to a gateway that speaks HTTP/1.1, one after the other, to its
// stream (RFC 9112). It decides how each body is framed, and so whether the connection can carry
// another answer.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/http1_writer.h"
#include "common/http_message.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace ptth {

class Http1Answer {
 public:
  // What an answer depends on of the request.
  struct Request {
    bool is_head = false;
    bool http_1_0 = false;
  };

  // The stream is borrowed. via: our entry of Via in each final answer.
  Http1Answer(ByteStream& stream, std::string via) : stream_(stream), via_(std::move(via)) {}

  // Before each answer.
  void start(Request request);

  // HTTP/1.0 knows no interim answers: then nothing is sent.
  void write_interim(const ResponseHead& head);
  // A head that cannot be written leaves is_broken().
  void write_head(const ResponseHead& head, Http1Connection connection);
  // Not more than content-length said.
  void write_body(Bytes bytes);
  // The last chunk, if there are chunks; else the trailers have no place. An answer that is shorter
  // than it said leaves is_broken().
  void write_end(const FieldList& trailers);

  [[nodiscard]] bool has_head() const { return has_head_; }

  // An interim 100 has been sent.
  [[nodiscard]] bool asked_for_body() const { return asked_for_body_; }

  // The gateway has been told that nothing follows this answer on the connection.
  [[nodiscard]] bool announces_close() const { return announces_close_; }

  // What was written is no whole answer and can never become one: the connection must break.
  [[nodiscard]] bool is_broken() const { return is_broken_; }

 private:
  void send(ByteQueue& text);

  ByteStream& stream_;
  const std::string via_;
  Request request_;
  BodyKind body_ = BodyKind::kNone;
  uint64_t body_bytes_left_ = 0;  // Of a body of known length.
  bool has_head_ = false;
  bool asked_for_body_ = false;
  bool announces_close_ = false;
  bool is_broken_ = false;
  ByteQueue text_;  // Memory for heads and framing; empty between calls.
};

}  // namespace ptth
