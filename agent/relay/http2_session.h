#pragma once

// The HTTP/2 server that runs on a reversed connection (RFC 9113): nghttp2 for frames and HPACK,
// our own rules for abuse. Borrows the stream, which its link owns.

#include "agent/origin/origin.h"
#include "agent/relay/session.h"
#include "common/byte_stream.h"
#include "common/log.h"
#include "common/loop.h"

#include <memory>

namespace ptth {

struct RelayMetrics;
struct Budget;

// origin, log, metrics and budget are borrowed and outlive the session. Writes its SETTINGS at the
// end of the turn.
[[nodiscard]] std::unique_ptr<Session> start_http2_session(Loop& loop, ByteStream& stream,
                                                           Origin& origin, Log& log,
                                                           RelayMetrics& metrics, Budget& budget,
                                                           SessionOptions options,
                                                           Session::Listener& listener);

}  // namespace ptth
