#pragma once

// Reads requests of an HTTP/1.1 client, in pieces of any size (RFC 9112), as strictly as answers
// are read. For the admin listener, the development gateway and sessions that speak HTTP/1.1. Used
// like Http1ResponseParser; there are no interim heads.

#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http1_body_reader.h"
#include "common/http1_event.h"
#include "common/http1_fault.h"
#include "common/http1_field_reader.h"
#include "common/http1_line_reader.h"
#include "common/http_message.h"
#include "common/http_rules.h"

#include <cstdint>
#include <string_view>

namespace ptth {

class Http1RequestParser {
 public:
  // scheme: of requests in origin form, as the connection tells (TLS or not).
  explicit Http1RequestParser(Scheme scheme, const Http1Limits& limits = {},
                              Side side = Side::kGateway);

  // Before each request. Memory of earlier requests is kept for reuse.
  void start();

  // The next thing in the input: kHead, kBody, kEnd, kFailed or kNeedMore. After kEnd and kFailed
  // it takes nothing and says the same again.
  [[nodiscard]] Http1Event next(Bytes& input);

  // The stream has ended: kEnd between requests, where a connection may end, else kFailed.
  [[nodiscard]] Http1Event finish();

  // After kHead, until start(). Field names are in lower case. Host is the authority (as it was
  // sent) and not among the fields; all that is for one connection only is left out too, nominated
  // fields included. Expect stays. A target in absolute form is split.
  [[nodiscard]] const RequestHead& head() const { return head_; }

  // After kBody.
  [[nodiscard]] Bytes body() const { return body_.bytes(); }

  // After kEnd, until start(). Without the forbidden ones.
  [[nodiscard]] const FieldList& trailers() const { return body_.trailers(); }

  // After kFailed.
  [[nodiscard]] Http1Fault fault() const { return fault_; }

  [[nodiscard]] Error error() const { return to_error(fault_, side_); }

  // After kFailed: the status to answer with before the connection is closed.
  [[nodiscard]] int status() const;

  // After kHead: the client waits for 100 (Continue) before it sends the body.
  [[nodiscard]] bool expects_continue() const { return expects_continue_; }

  // After kHead: the client understands HTTP/1.0 only (no chunks, no 1xx).
  [[nodiscard]] bool http_1_0() const { return !http_1_1_; }

  // After kHead: what Upgrade named, as one list; empty unless Connection has upgrade.
  [[nodiscard]] std::string_view upgrade() const { return fields_.upgrade(); }

  // After kHead: TE says that the client takes trailers. The field itself is for this connection.
  [[nodiscard]] bool accepts_trailers() const { return fields_.accepts_trailers(); }

  // After kHead: HTTP/1.1 without "Connection: close".
  [[nodiscard]] bool keep_alive_possible() const { return keep_alive_possible_; }

  // A byte of the request was seen since start(), other than one empty line.
  [[nodiscard]] bool started() const { return started_; }

 private:
  enum class State : uint8_t { kFirstLine, kRequestLine, kFields, kBody, kEnd, kFailed };

  [[nodiscard]] Http1Event next_in_head(Bytes& input);
  [[nodiscard]] Http1Event next_in_body(Bytes& input);
  [[nodiscard]] Http1Fault take_line(std::string_view line);
  [[nodiscard]] Http1Fault parse_request_line(std::string_view line);
  [[nodiscard]] Http1Fault parse_target(std::string_view target);
  [[nodiscard]] Http1Fault check_host();
  [[nodiscard]] Http1Event end_head();
  void start_body();
  Http1Event fail(Http1Fault fault);

  Scheme scheme_;
  Http1Limits limits_;
  Side side_;
  State state_ = State::kEnd;
  Http1Fault fault_ = Http1Fault::kNone;
  bool http_1_1_ = false;
  bool keep_alive_possible_ = false;
  bool expects_continue_ = false;
  bool started_ = false;
  bool target_is_absolute_ = false;
  RequestHead head_;
  Http1LineReader lines_;
  Http1FieldReader fields_;
  Http1BodyReader body_;
};

}  // namespace ptth
