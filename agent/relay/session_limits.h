#pragma once

#include "common/loop.h"
#include "common/token_bucket.h"

#include <cstddef>
#include <cstdint>

namespace ptth {

// What only a session of HTTP/1.1 needs.
struct Http1SessionLimits {
  Milliseconds head_timeout{10'000};  // From the first byte of a request to the end of its head.
  // Requests that wait for the one before them: above it nothing is read.
  size_t pipelined_bytes = size_t{64} * 1024;
  size_t chunk_extension_bytes = 4096;  // Of all chunks of one request together.
  // Behind an early answer the rest of the request is read to no use, so that the connection can go
  // on: so much, and for so long.
  size_t discarded_bytes = size_t{256} * 1024;
  Milliseconds discard_timeout{2'000};
  // A gateway that does not want us closes at once. A connection that stays open for so long, or
  // brings a request, is attached.
  Milliseconds settle_time{200};
  // While we leave, a connection without a request stays open for so long: one may be on its way.
  Milliseconds drain_idle{1'000};

  [[nodiscard]] bool operator==(const Http1SessionLimits&) const = default;
};

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
      size_t{64} * 1024;  // High-water mark per exchange; the origin is paused above it.
  size_t link_buffer_bytes =
      size_t{32} * 1024 * 1024;  // Bodies buffered on one link, both directions.
  size_t output_buffer_bytes =
      size_t{128} *
      1024;  // Frames not yet taken by the kernel; above it nothing is read or produced.
  // What the kernel takes of them and cannot send yet, once an urgency was told; 0: no bound.
  size_t kernel_unsent_bytes = size_t{64} * 1024;
  Rate resets{200, 50};            // RST_STREAM from the gateway (CVE-2023-44487).
  Rate errors{100, 10};            // Streams that we had to reset (CVE-2025-8671).
  Rate refusals{2000, 200};        // Requests beyond what it may have open.
  Rate control_frames{2000, 500};  // PING, SETTINGS, PRIORITY, unknown types.
  Rate empty_frames{1000, 200};    // DATA, HEADERS and WINDOW_UPDATE frames that bring no progress.
  Milliseconds progress_timeout{
      60'000};  // No byte either way on an exchange that waits for the gateway.
  Milliseconds settings_timeout{10'000};  // Hello to attached.
  Milliseconds drain_hold{1'000};         // New requests wait so long for those in flight to end.
  Milliseconds ping_after{5'000};         // Silence before we ask.
  Milliseconds ping_timeout{4'000};       // Silence after we asked: the link is dead.
  Http1SessionLimits http1;

  [[nodiscard]] bool operator==(const SessionLimits&) const = default;
};

}  // namespace ptth
