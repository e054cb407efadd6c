#include "common/http1_line_reader.h"

#include <cstring>

namespace ptth {

void Http1LineReader::start(size_t bytes_max) {
  partial_.clear();
  partial_is_done_ = false;
  bytes_max_ = bytes_max;
  bytes_taken_ = 0;
  fault_ = Http1Fault::kNone;
}

Http1LineReader::Status Http1LineReader::next(Bytes& input) {
  if (partial_is_done_) {
    partial_.clear();
    partial_is_done_ = false;
  }
  if (input.empty()) return Status::kNeedMore;
  const void* feed = std::memchr(input.data(), '\n', input.size());
  const size_t count =
      feed == nullptr ? input.size()
                      : static_cast<size_t>(static_cast<const uint8_t*>(feed) - input.data()) + 1;
  // The same verdict whether the line comes whole or in pieces.
  if (count > bytes_max_ - bytes_taken_) return fail(Http1Fault::kHeadTooLarge);
  const std::string_view piece(reinterpret_cast<const char*>(input.data()), count);
  input = input.subspan(count);
  bytes_taken_ += count;
  if (feed == nullptr) {
    partial_.append(piece);
    return Status::kNeedMore;
  }
  line_ = piece;
  if (!partial_.empty()) {
    partial_.append(piece);
    partial_is_done_ = true;
    line_ = partial_;
  }
  line_.remove_suffix(1);
  if (line_.empty() || line_.back() != '\r') return fail(Http1Fault::kBareLf);
  line_.remove_suffix(1);
  return Status::kLine;
}

Http1LineReader::Status Http1LineReader::fail(Http1Fault fault) {
  fault_ = fault;
  return Status::kFault;
}

}  // namespace ptth
