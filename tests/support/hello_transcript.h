#pragma once

// Runs a gateway's answer to a hello through its reader, in pieces, and writes down what came of
// it.

#include "agent/link/hello_answer.h"
#include "agent/link/profile.h"
#include "tests/support/http1_transcript.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptth::test {

struct HelloTranscript {
  HelloAnswerReader::Outcome outcome = HelloAnswerReader::Outcome::kNeedMore;
  ErrorKind kind = ErrorKind::kInternal;
  std::string detail;
  bool retryable = false;
  int64_t retry_after_ms = 0;
  std::string channel;
  std::string location;
  size_t bytes_taken = 0;
  uint32_t interim_answers = 0;

  bool operator==(const HelloTranscript&) const = default;
};

// As the profile ptth has it, of a worker that serves https://app.example.
inline HelloSpec hello_spec(const HelloOptions& options = {},
                            const HelloDefaults& defaults = ptth_hello()) {
  const auto served = ServedAuthorities::parse({"https://app.example"});
  return make_hello_spec(defaults, options, {"gw.example", 443, Scheme::kHttps, {}}, served.value())
      .value();
}

inline HelloTranscript transcribe(HelloAnswerReader& reader, const Pieces& pieces,
                                  StreamEnd stream_end) {
  using Outcome = HelloAnswerReader::Outcome;
  HelloTranscript out;
  size_t from = 0;
  std::vector<size_t> ends = pieces.cuts;
  ends.push_back(pieces.text.size());
  for (const size_t end : ends) {
    if (out.outcome != Outcome::kNeedMore) break;
    // Memory of its own, so that a view kept too long is found by ASan.
    const std::vector<uint8_t> piece(pieces.text.begin() + static_cast<ptrdiff_t>(from),
                                     pieces.text.begin() + static_cast<ptrdiff_t>(end));
    Bytes input = piece;
    out.outcome = reader.read(input, 1);
    CHECK_INVARIANT(out.outcome != Outcome::kNeedMore || input.empty());
    out.bytes_taken += piece.size() - input.size();
    from = end;
  }
  if (out.outcome == Outcome::kNeedMore && stream_end == StreamEnd::kClosed) {
    out.outcome = reader.finish();
  }
  out.interim_answers = reader.interim_answers();
  if (out.outcome == Outcome::kReversed) out.channel = reader.channel();
  if (out.outcome == Outcome::kMoved) out.location = to_string(reader.location());
  if (out.outcome == Outcome::kRefused) {
    out.kind = reader.error().kind;
    out.detail = reader.error().detail;
    out.retryable = reader.error().retryable;
    out.retry_after_ms = reader.error().retry_after.count();
    // How much of the words for people was read depends on how they came.
    out.bytes_taken = 0;
  }
  return out;
}

}  // namespace ptth::test
