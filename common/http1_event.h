#pragma once

// What the HTTP/1.1 parsers find next in their input.

#include <cstdint>

namespace ptth {

enum class Http1Event : uint8_t {
  kNeedMore,     // All of the input is taken.
  kInterimHead,  // A 1xx answer; another head follows.
  kHead,
  kBody,  // A piece of the body, as a view of the input.
  kEnd,   // The message is complete; what is left of the input is not part of it.
  kFailed,
};

}  // namespace ptth
