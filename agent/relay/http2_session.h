#pragma once

// The HTTP/2 server that runs on a reversed connection (RFC 9113): nghttp2 for frames and HPACK,
// our own rules for abuse.

#include "agent/relay/session.h"

#include <memory>

namespace ptth {

// Writes its SETTINGS at the end of the turn.
[[nodiscard]] std::unique_ptr<Session> start_http2_session(const SessionSurroundings& surroundings,
                                                           SessionOptions options,
                                                           Session::Listener& listener);

}  // namespace ptth
