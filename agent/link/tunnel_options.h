#pragma once

// The limits of reversed channels inside HTTP/2 streams.

#include "agent/relay/session_limits.h"

#include <cstdint>

namespace ptth {

struct TunnelOptions {
  uint32_t window_bytes = 1024 * 1024;  // Credit of the gateway; what we may have to keep.
  SessionLimits limits;       // Of the frames around it that carry nothing, and of silence.
  uint32_t channels_max = 1;  // On one connection.
};

}  // namespace ptth
