#pragma once

// MagicCheck: the gateway, as the HTTP/2 client, begins with the magic of RFC 9113 section 3.4.
// nghttp2 is told to expect none, so that one kind of session serves both dialects (protocols.md
// section 0); the profiles in which the gateway sends it verify it here.

#include "common/byte_stream.h"
#include "common/error.h"

#include <cstddef>

namespace ptth {

class MagicCheck {
 public:
  enum class Status { kNeedMore, kDone, kWrong };

  // Takes what belongs to the magic off the front of the bytes.
  [[nodiscard]] Status take(Bytes& bytes);

  // After kWrong: what came instead, from the bytes that take() left.
  [[nodiscard]] Error error(Bytes rest) const;

 private:
  size_t verified_ = 0;
};

// For people: what a gateway that begins so seems to speak.
[[nodiscard]] std::string what_came_instead(Bytes bytes);

}  // namespace ptth
