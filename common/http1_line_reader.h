#pragma once

// Cuts lines that end with CRLF out of a stream of bytes, within a budget for all of them. A line
// that lies in the input as a whole is not copied. Shared by both HTTP/1.1 parsers, for heads and
// trailers.

#include "common/byte_stream.h"
#include "common/http1_fault.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace ptth {

class Http1LineReader {
 public:
  enum class Status { kNeedMore, kLine, kFault };

  // For a new section of at most so many bytes, line ends included.
  void start(size_t bytes_max);

  // Takes one line from the front of the input, or all of it.
  [[nodiscard]] Status next(Bytes& input);

  // After kLine: without CRLF; valid until the next call and as long as the input.
  [[nodiscard]] std::string_view line() const { return line_; }

  // After kFault.
  [[nodiscard]] Http1Fault fault() const { return fault_; }

  // Bytes since start().
  [[nodiscard]] size_t bytes_taken() const { return bytes_taken_; }

 private:
  Status fail(Http1Fault fault);

  std::string partial_;  // The beginning of a line that came in pieces.
  std::string_view line_;
  size_t bytes_max_ = 0;
  size_t bytes_taken_ = 0;
  bool partial_is_done_ = false;
  Http1Fault fault_ = Http1Fault::kNone;
};

}  // namespace ptth
