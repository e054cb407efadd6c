#pragma once

// Reads the body of one HTTP/1.1 message, by length, in chunks or to the end of the stream (RFC
// 9112 sections 6 and 7). Body bytes are views of the input: nothing is copied. Shared by both
// parsers.

#include "common/byte_stream.h"
#include "common/http1_fault.h"
#include "common/http1_field_reader.h"
#include "common/http1_line_reader.h"
#include "common/http_message.h"

#include <cstddef>
#include <cstdint>

namespace ptth {

class Http1BodyReader {
 public:
  enum class Status { kNeedMore, kBytes, kEnd, kFault };

  void start_length(uint64_t length);
  void start_chunked(const Http1Limits& limits);
  void start_until_close();

  // Takes what it can from the front of the input. After kEnd and kFault it takes nothing more.
  [[nodiscard]] Status next(Bytes& input);

  // After kBytes: a part of the input that was given.
  [[nodiscard]] Bytes bytes() const { return bytes_; }

  // After kEnd.
  [[nodiscard]] const FieldList& trailers() const { return trailers_; }

  // After kFault.
  [[nodiscard]] Http1Fault fault() const { return fault_; }

  [[nodiscard]] bool ends_with_stream() const { return state_ == State::kUntilClose; }

 private:
  // kLength and kUntilClose stay; chunks go round:
  //
  //   kSizeFirst -> kSize -> [kExtension] -> kSizeLf -> kData -> kDataCr -> kDataLf -> kSizeFirst
  //                                             \-> (size 0) kTrailers -> kEnd
  enum class State : uint8_t {
    kLength,
    kUntilClose,
    kSizeFirst,
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailers,
    kEnd,
    kFault,
  };

  // Where in a chunk extension (section 7.1.1) we are: what may come next.
  enum class Extension : uint8_t {
    kNameFirst,
    kName,
    kValueFirst,
    kToken,
    kQuoted,
    kEscaped,
    kDone,
    kMalformed,
  };

  [[nodiscard]] Status take(Bytes& input, uint64_t count_max);
  [[nodiscard]] Status next_chunked(Bytes& input);
  void take_framing_byte(char byte);
  void take_size_byte(char byte);
  void take_extension_byte(char byte);
  [[nodiscard]] static Extension extension_after(Extension extension, char byte);
  void start_data_or_trailers();
  [[nodiscard]] Status next_trailer(Bytes& input);
  void fail(Http1Fault fault);

  State state_ = State::kEnd;
  Extension extension_ = Extension::kNameFirst;
  Http1Fault fault_ = Http1Fault::kNone;
  unsigned size_digits_ = 0;
  uint64_t left_ = 0;  // Of the body, or of the chunk; while the size is read, the size so far.
  size_t extension_bytes_left_ = 0;
  Bytes bytes_;
  Http1Limits limits_;
  FieldList trailers_;
  Http1LineReader lines_;
  Http1FieldReader fields_;
};

}  // namespace ptth
