#pragma once

// Reads answers of an HTTP/1.1 origin, in pieces of any size (RFC 9112). Strict: whatever two
// parsers could understand in two ways is a failure, because a pool of connections that loses count
// mixes the answers of strangers. Holds no socket; works on the caller's bytes.
//
//   parser.start(Http1ResponseParser::Request::kOther);
//   while (true) {
//     switch (parser.next(bytes)) {  // Takes what it used from the front of bytes.
//       case Http1Event::kNeedMore: return;  // All of bytes is taken.
//       case Http1Event::kInterimHead: ... parser.head() ...; break;
//       case Http1Event::kHead: ... parser.head() ...; break;
//       case Http1Event::kBody: ... parser.body() ...; break;  // A view of bytes.
//       case Http1Event::kEnd: ... parser.trailers() ...; return;  // bytes now holds what follows.
//       case Http1Event::kFailed: ... parser.fault(), parser.error() ...; return;
//     }
//   }

#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http1_body_reader.h"
#include "common/http1_event.h"
#include "common/http1_fault.h"
#include "common/http1_field_reader.h"
#include "common/http1_line_reader.h"
#include "common/http_message.h"

#include <cstdint>
#include <string_view>

namespace ptth {

class Http1ResponseParser {
 public:
  // What the answer's meaning depends on: an answer to HEAD has no body; 101 is a failure unless
  // the request asked for an upgrade.
  enum class Request : uint8_t { kOther, kHead, kUpgrade };

  explicit Http1ResponseParser(const Http1Limits& limits = {}, Side side = Side::kOrigin);

  // Before each answer. Memory of earlier answers is kept for reuse.
  void start(Request request);

  // The next thing in the input. After kEnd and kFailed it takes nothing and says the same again.
  [[nodiscard]] Http1Event next(Bytes& input);

  // The stream has ended: kEnd for a body that ends so, else kFailed. At once after kEnd, kEnd.
  [[nodiscard]] Http1Event finish();

  // After kInterimHead (1xx but 101) or kHead (101 too), until the next head. Field names are in
  // lower case. Connection, Transfer-Encoding and all else that is for one connection only
  // is left out, nominated fields too. content-length stays, except with 1xx and 204.
  [[nodiscard]] const ResponseHead& head() const { return head_; }

  // After kHead: what Upgrade named, as one list; empty unless Connection has upgrade. Behind a 101
  // kEnd follows at once; what is then left of the input belongs to the new protocol.
  [[nodiscard]] std::string_view upgrade() const { return fields_.upgrade(); }

  // After kBody.
  [[nodiscard]] Bytes body() const { return body_.bytes(); }

  // After kEnd, until start(). Without the forbidden ones.
  [[nodiscard]] const FieldList& trailers() const { return body_.trailers(); }

  // After kFailed.
  [[nodiscard]] Http1Fault fault() const { return fault_; }

  [[nodiscard]] Error error() const { return to_error(fault_, side_); }

  // After kEnd: HTTP/1.1, no "Connection: close", and the end was told by the message itself. The
  // caller adds its own conditions (request sent whole, no byte left over).
  [[nodiscard]] bool keep_alive_possible() const { return keep_alive_possible_; }

  // A byte of the answer was seen since start().
  [[nodiscard]] bool started() const { return started_; }

 private:
  enum class State : uint8_t { kStatusLine, kFields, kInterimEnd, kBody, kEnd, kFailed };

  [[nodiscard]] Http1Event next_in_head(Bytes& input);
  [[nodiscard]] Http1Event next_in_body(Bytes& input);
  void start_head();
  [[nodiscard]] Http1Fault parse_status_line(std::string_view line);
  [[nodiscard]] Http1Event end_head();
  void start_body();
  Http1Event fail(Http1Fault fault);

  Http1Limits limits_;
  Side side_;
  Request request_ = Request::kOther;
  State state_ = State::kEnd;
  Http1Fault fault_ = Http1Fault::kNone;
  bool http_1_1_ = false;
  bool keep_alive_possible_ = false;
  bool started_ = false;
  ResponseHead head_;
  Http1LineReader lines_;
  Http1FieldReader fields_;
  Http1BodyReader body_;
};

}  // namespace ptth
