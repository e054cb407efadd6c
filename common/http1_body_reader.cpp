#include "common/http1_body_reader.h"

#include "common/http_rules.h"

#include <algorithm>

namespace ptth {

namespace {

constexpr unsigned kSizeDigitsMax = 16;

}  // namespace

void Http1BodyReader::start_length(uint64_t length) {
  trailers_.clear();
  left_ = length;
  state_ = length == 0 ? State::kEnd : State::kLength;
}

void Http1BodyReader::start_chunked(const Http1Limits& limits) {
  trailers_.clear();
  limits_ = limits;
  extension_bytes_left_ = limits.chunk_extension_bytes;
  state_ = State::kSizeFirst;
}

void Http1BodyReader::start_until_close() {
  trailers_.clear();
  state_ = State::kUntilClose;
}

Http1BodyReader::Status Http1BodyReader::next(Bytes& input) {
  switch (state_) {
    case State::kLength: {
      const Status status = take(input, left_);
      if (left_ == 0) state_ = State::kEnd;
      return status;
    }
    case State::kUntilClose:
      return take(input, UINT64_MAX);
    case State::kEnd:
      return Status::kEnd;
    case State::kFault:
      return Status::kFault;
    case State::kSizeFirst:
    case State::kSize:
    case State::kExtension:
    case State::kSizeLf:
    case State::kData:
    case State::kDataCr:
    case State::kDataLf:
    case State::kTrailers:
      return next_chunked(input);
  }
  return Status::kFault;
}

Http1BodyReader::Status Http1BodyReader::take(Bytes& input, uint64_t count_max) {
  if (input.empty()) return Status::kNeedMore;
  const size_t count = static_cast<size_t>(std::min<uint64_t>(count_max, input.size()));
  bytes_ = input.first(count);
  input = input.subspan(count);
  left_ -= count;
  return Status::kBytes;
}

Http1BodyReader::Status Http1BodyReader::next_chunked(Bytes& input) {
  size_t index = 0;
  while (index < input.size() && state_ != State::kData && state_ != State::kTrailers &&
         state_ != State::kFault) {
    take_framing_byte(static_cast<char>(input[index++]));
  }
  input = input.subspan(index);
  if (state_ == State::kFault) return Status::kFault;
  if (state_ == State::kTrailers) return next_trailer(input);
  if (state_ != State::kData) return Status::kNeedMore;
  const Status status = take(input, left_);
  if (left_ == 0) state_ = State::kDataCr;
  return status;
}

void Http1BodyReader::take_framing_byte(char byte) {
  switch (state_) {
    case State::kSizeFirst:
      left_ = 0;
      size_digits_ = 0;
      state_ = State::kSize;
      [[fallthrough]];
    case State::kSize:
      take_size_byte(byte);
      return;
    case State::kExtension:
      take_extension_byte(byte);
      return;
    case State::kSizeLf:
      if (byte != '\n') return fail(Http1Fault::kChunkSize);
      start_data_or_trailers();
      return;
    case State::kDataCr:
      if (byte != '\r') return fail(Http1Fault::kChunkEnd);
      state_ = State::kDataLf;
      return;
    case State::kDataLf:
      if (byte != '\n') return fail(Http1Fault::kChunkEnd);
      state_ = State::kSizeFirst;
      return;
    case State::kLength:
    case State::kUntilClose:
    case State::kData:
    case State::kTrailers:
    case State::kEnd:
    case State::kFault:
      return;
  }
}

void Http1BodyReader::take_size_byte(char byte) {
  const int digit = hex_value(byte);
  if (digit >= 0) {
    if (++size_digits_ > kSizeDigitsMax) return fail(Http1Fault::kChunkSize);
    left_ = left_ << 4 | static_cast<uint64_t>(digit);
    return;
  }
  // A size that is no signed number is nobody's honest chunk.
  if (size_digits_ == 0 || left_ > INT64_MAX) return fail(Http1Fault::kChunkSize);
  if (byte == '\r') {
    state_ = State::kSizeLf;
  } else if (byte == ';') {
    state_ = State::kExtension;
    extension_ = Extension::kNameFirst;
  } else {
    fail(byte == '\n' ? Http1Fault::kBareLf : Http1Fault::kChunkSize);
  }
}

// Read and ignored.
void Http1BodyReader::take_extension_byte(char byte) {
  if (extension_bytes_left_ == 0) return fail(Http1Fault::kChunkExtension);
  --extension_bytes_left_;
  const bool may_end = extension_ == Extension::kName || extension_ == Extension::kToken ||
                       extension_ == Extension::kDone;
  if (byte == '\r' && may_end) {
    state_ = State::kSizeLf;
    return;
  }
  extension_ = extension_after(extension_, byte);
  if (extension_ == Extension::kMalformed) {
    fail(byte == '\n' ? Http1Fault::kBareLf : Http1Fault::kChunkExtension);
  }
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] ). We do not take the whitespace that
// the grammar has for senders of old.
Http1BodyReader::Extension Http1BodyReader::extension_after(Extension extension, char byte) {
  const bool token = lower_token_byte(byte) != 0;
  const Extension next_name = byte == ';' ? Extension::kNameFirst : Extension::kMalformed;
  switch (extension) {
    case Extension::kNameFirst:
      return token ? Extension::kName : Extension::kMalformed;
    case Extension::kName:
      if (byte == '=') return Extension::kValueFirst;
      return token ? Extension::kName : next_name;
    case Extension::kValueFirst:
      if (byte == '"') return Extension::kQuoted;
      return token ? Extension::kToken : Extension::kMalformed;
    case Extension::kToken:
      return token ? Extension::kToken : next_name;
    case Extension::kQuoted:
      if (byte == '"') return Extension::kDone;
      if (byte == '\\') return Extension::kEscaped;
      [[fallthrough]];
    case Extension::kEscaped:
      return is_field_value({&byte, 1}) ? Extension::kQuoted : Extension::kMalformed;
    case Extension::kDone:
      return next_name;
    case Extension::kMalformed:
      break;
  }
  return Extension::kMalformed;
}

void Http1BodyReader::start_data_or_trailers() {
  if (left_ > 0) {
    state_ = State::kData;
    return;
  }
  lines_.start(limits_.head_bytes);
  fields_.start(Http1Section::kTrailers, limits_.fields);
  state_ = State::kTrailers;
}

Http1BodyReader::Status Http1BodyReader::next_trailer(Bytes& input) {
  while (true) {
    switch (lines_.next(input)) {
      case Http1LineReader::Status::kNeedMore:
        return Status::kNeedMore;
      case Http1LineReader::Status::kFault:
        fail(lines_.fault());
        return Status::kFault;
      case Http1LineReader::Status::kLine:
        break;
    }
    if (lines_.line().empty()) {
      state_ = State::kEnd;
      return Status::kEnd;
    }
    const Http1Fault fault = fields_.add_line(lines_.line(), trailers_);
    if (fault != Http1Fault::kNone) {
      fail(fault);
      return Status::kFault;
    }
  }
}

void Http1BodyReader::fail(Http1Fault fault) {
  fault_ = fault;
  state_ = State::kFault;
}

}  // namespace ptth
