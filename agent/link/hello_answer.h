#pragma once

// HelloAnswerReader: what a gateway says to our hello. It reads bytes and tells what follows from
// them; it holds no stream and no timer, so that every answer can be tried on it. Between an
// upgrade stream and the HTTP/1.1 parser.

#include "agent/link/hello_spec.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http1_response_parser.h"
#include "common/http_date.h"
#include "common/http_uri.h"
#include "common/loop.h"
#include "common/secret.h"
#include "common/token_bucket.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

class HelloAnswerReader {
 public:
  // No gateway needs more than this to say yes or no.
  static constexpr Http1Limits kLimits{size_t{16} * 1024, 64, 256};
  // Of the body of a no: read, and shown to people.
  static constexpr size_t kBodyBytesMax = 1024;
  static constexpr size_t kBodyShownMax = 200;

  enum class Outcome : uint8_t {
    kNeedMore,   // All of the bytes are taken.
    kReversed,   // channel() was chosen; the bytes that are left are its first.
    kAskAgain,   // The gateway gave up waiting (204), and waits for the next hello.
    kDialAgain,  // The same, but on another connection.
    kMoved,      // To location().
    kRefused,    // error().
  };

  // The spec outlives the reader.
  explicit HelloAnswerReader(const HelloSpec& spec);

  // Before each answer. What is in secrets is never repeated in an error.
  void start(std::vector<Secret> secrets);

  // Takes what it used from the front of the bytes. After anything but kNeedMore it wants no more.
  [[nodiscard]] Outcome read(Bytes& bytes, uint64_t now_ms);
  // There will be no more bytes, or they were waited for long enough.
  [[nodiscard]] Outcome finish();

  // 1xx since start().
  [[nodiscard]] uint32_t interim_answers() const { return interim_answers_; }

  // The answer is a no, and only words for people are still to come.
  [[nodiscard]] bool awaits_body() const { return is_refused_; }

  // The ALPN id.
  [[nodiscard]] const std::string& channel() const { return channel_; }

  [[nodiscard]] const HttpUri& location() const { return location_; }

  [[nodiscard]] const Error& error() const { return error_; }

 private:
  [[nodiscard]] Outcome judge_head();
  [[nodiscard]] Outcome accept();
  [[nodiscard]] Outcome choose_channel();
  [[nodiscard]] Outcome follow();
  [[nodiscard]] Outcome refuse(ErrorKind kind, std::string detail);
  void collect_body();
  [[nodiscard]] Outcome finish_refusal();
  [[nodiscard]] bool body_is_for_people() const;
  [[nodiscard]] bool tells_secrets(std::string_view text) const;
  [[nodiscard]] std::string shown(std::string_view text) const;

  const HelloSpec& spec_;
  Http1ResponseParser parser_;
  TokenBucket interim_bucket_;
  uint32_t interim_answers_ = 0;
  std::vector<Secret> secrets_;
  bool is_refused_ = false;
  bool head_tells_secrets_ = false;
  std::string body_;
  std::string channel_;
  HttpUri location_;
  Error error_;
};

// What Retry-After asks for (RFC 9110 section 10.2.3), from now or, for a date, from the answer's
// own; 0 if nothing that can be understood.
[[nodiscard]] Milliseconds retry_after(const FieldList& fields, HttpTime now);

// Where Location leads from base; kProtocol unless it is a URI or an absolute path.
[[nodiscard]] Result<HttpUri> resolve_location(std::string_view location, const HttpUri& base);

// What others sent, for people: printable ASCII in one line, at most so many characters (three at
// least).
[[nodiscard]] std::string visible(std::string_view text, size_t characters_max);

}  // namespace ptth
