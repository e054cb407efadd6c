#pragma once

// HelloAnswerReader: what a gateway says to our hello over HTTP/1.1. It reads bytes and tells what
// follows from them; it holds no stream and no timer, so that every answer can be tried on it.
// Between a hello exchange and the HTTP/1.1 parser.

#include "agent/link/hello_judge.h"
#include "agent/link/hello_spec.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http1_response_parser.h"
#include "common/http_uri.h"
#include "common/secret.h"
#include "common/token_bucket.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ptth {

class HelloAnswerReader {
 public:
  // No gateway needs more than this to say yes or no.
  static constexpr Http1Limits kLimits{size_t{16} * 1024, 64, 256};

  using Outcome = HelloOutcome;

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
  [[nodiscard]] bool awaits_body() const { return judge_.awaits_body(); }

  // The ALPN id.
  [[nodiscard]] const std::string& channel() const { return judge_.channel(); }

  [[nodiscard]] const HttpUri& location() const { return judge_.location(); }

  [[nodiscard]] const Error& error() const { return judge_.error(); }

 private:
  HelloJudge judge_;
  Http1ResponseParser parser_;
  TokenBucket interim_bucket_;
  uint32_t interim_answers_ = 0;
};

}  // namespace ptth
