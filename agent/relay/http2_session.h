#pragma once

// The HTTP/2 server that runs on a reversed connection (RFC 9113): nghttp2 for frames and HPACK,
// our own rules for abuse. Each request becomes an Exchange that calls an Origin. Borrows the
// stream, which its link owns.

#include "agent/origin/origin.h"
#include "agent/relay/request_reader.h"
#include "common/byte_stream.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/token_bucket.h"

#include <cstdint>
#include <memory>
#include <string>

namespace ptth {

struct RelayMetrics;
struct Budget;

// Every limit of a session. Rates are token buckets: `burst` at once, refilled at `per_second`.
struct SessionLimits {
  uint32_t header_list_bytes =
      64 * 1024;                 // names + values + 32 per field; beyond it 431. Advertised.
  uint32_t header_fields = 128;  // Beyond it 431.
  uint32_t stream_window_bytes =
      256 * 1024;  // Credit of one upload at its start; unread uploads hold no more than this.
  uint32_t stream_window_bytes_max =
      4 * 1024 * 1024;  // It grows up to here while the origin keeps pace.
  uint32_t link_window_bytes = 16 * 1024 * 1024;  // Credit of the connection.
  size_t response_buffer_bytes =
      size_t{256} * 1024;  // High-water mark per exchange; the origin is paused above it.
  size_t link_buffer_bytes =
      size_t{32} * 1024 * 1024;  // Bodies buffered on one link, both directions.
  size_t output_buffer_bytes =
      size_t{256} *
      1024;  // Frames not yet taken by the kernel; above it nothing is read or produced.
  Rate resets{200, 50};            // RST_STREAM from the gateway (CVE-2023-44487).
  Rate errors{100, 10};            // Streams that we had to reset (CVE-2025-8671).
  Rate control_frames{2000, 500};  // PING, SETTINGS, PRIORITY, unknown types.
  Rate empty_frames{1000, 200};    // DATA, HEADERS and WINDOW_UPDATE frames that bring no progress.
  Milliseconds progress_timeout{
      60'000};  // No byte either way on an exchange that waits for the gateway.
  Milliseconds settings_timeout{10'000};  // Hello to attached.
  Milliseconds drain_hold{1'000};         // New requests wait so long for those in flight to end.
  Milliseconds ping_after{5'000};         // Silence before we ask.
  Milliseconds ping_timeout{4'000};       // Silence after we asked: the link is dead.
};

// How a gateway learns that we leave.
enum class DrainStyle {
  kAnnounce,  // GOAWAY(2^31-1), a round trip, then GOAWAY(last id) and the end (RFC 9113
              // section 6.8).
  // HAProxy answers 503 to the first request that it wants to send on a link that has announced its
  // end, and sends a refused one to the same link again until its retries are used up (haproxy.md).
  // So nothing is said at first: new requests wait, unseen by the origin, until those in flight
  // have ended; then they are refused, and GOAWAY and the end of the connection follow in the same
  // write. HAProxy takes the link out of its pool with that, and sends them elsewhere.
  kHoldAndClose,
};

class Http2Session {
 public:
  class Listener {
   public:
    // The gateway's SETTINGS and its acknowledgement of ours have come.
    virtual void on_session_attached() = 0;
    // The gateway sends no new requests here (its GOAWAY); those in flight go on.
    virtual void on_session_leaving() = 0;
    // Terminal: no exchange is left and the stream is of no more use. kind kClosed with retryable:
    // a bare EOF or a GOAWAY, nothing wrong. Retire the session, then the stream.
    virtual void on_session_ended(const Error& error) = 0;

   protected:
    ~Listener() = default;
  };

  struct Options {
    SessionLimits limits;
    std::string gateway;  // Its name in logs and metrics; outlives the session by being copied.
    uint64_t link_id = 0;
    uint32_t capacity = 100;  // MAX_CONCURRENT_STREAMS.
    RequestRules rules;
    DrainStyle drain_style = DrainStyle::kAnnounce;
    // HAProxy ignores the limit in the first SETTINGS (haproxy.md): send it in a second one, right
    // after attaching.
    bool capacity_in_second_settings = false;
  };

  // origin, log, metrics and budget are borrowed and outlive the session. Writes its SETTINGS at
  // the end of the turn.
  [[nodiscard]] static std::unique_ptr<Http2Session> start(Loop& loop, ByteStream& stream,
                                                           Origin& origin, Log& log,
                                                           RelayMetrics& metrics, Budget& budget,
                                                           Options options, Listener& listener);

  Http2Session() = default;
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;
  Http2Session(Http2Session&&) = delete;
  Http2Session& operator=(Http2Session&&) = delete;
  virtual ~Http2Session() = default;

  // Refuses new exchanges so that the gateway can send them elsewhere, finishes those in flight,
  // then GOAWAY, then on_session_ended.
  virtual void drain() = 0;
  // Ends every exchange now (RST_STREAM, GOAWAY) and then on_session_ended.
  virtual void abort() = 0;
  [[nodiscard]] virtual size_t exchanges_in_flight() const = 0;
};

}  // namespace ptth
