#pragma once

// The limits of a reversed channel inside an HTTP/2 stream.

#include "agent/relay/session_limits.h"

#include <cstdint>

namespace ptth {

struct TunnelOptions {
  uint32_t window_bytes = 1024 * 1024;  // Credit of the gateway; what we may have to keep.
  SessionLimits limits;                 // Of the frames around it that carry nothing.
};

}  // namespace ptth
