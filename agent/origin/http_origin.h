#pragma once

// The origin behind HTTP/1.1 on TCP or a Unix socket (RFC 9112): a pool of keep-alive connections,
// strict parsing of answers, and a request sent twice only when that is certainly harmless.

#include "agent/origin/origin.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/network.h"

#include <cstdint>
#include <memory>
#include <string>

namespace ptth {

struct HttpOriginOptions {
  std::string host = "127.0.0.1";  // A name, "localhost" (both loopbacks), or an address.
  uint16_t port = 80;
  std::string unix_path;      // Instead of host and port.
  std::string host_override;  // Sent as Host; empty: the request's authority.
  // Open at once; a call beyond waits up to connect_timeout. 0: as many as exchanges are admitted.
  uint32_t connections_max = 0;
  uint32_t idle_connections_max = 128;
  Milliseconds idle_timeout{15'000};  // An unused connection is closed after this.
  // To a connection. While the origin refuses connections (it is starting), the dial is repeated
  // within this time.
  Milliseconds connect_timeout{2'000};
  Milliseconds first_byte_timeout{60'000};  // Request sent to the first byte of the answer.
  Milliseconds progress_timeout{60'000};    // Between bytes, either way.
  Milliseconds total_timeout{0};            // Whole exchange; 0: none.
  uint32_t head_bytes_max = 64 * 1024;      // Status line and fields of an answer.
  uint32_t head_fields_max = 256;
  uint32_t interim_answers_max = 8;  // 1xx per exchange.
  // A cancelled request's connection is given so long to end; its slot counts until then.
  Milliseconds cancel_linger{1'000};
  // What it may still send in that time; beyond it the connection is closed at once.
  uint32_t cancel_linger_bytes = 256 * 1024;
  Milliseconds probe_interval{
      1'000};  // Between looks at an origin that did not accept; for readiness.

  [[nodiscard]] bool operator==(const HttpOriginOptions&) const = default;
};

class HttpOrigin : public Origin {
 public:
  // The last attempt to connect succeeded.
  [[nodiscard]] virtual bool reachable() const = 0;
  // "127.0.0.1:3000" or "unix:/run/app.sock".
  [[nodiscard]] virtual const std::string& name() const = 0;
  // How long connecting took, of connections that came about.
  [[nodiscard]] virtual const Histogram& connect_seconds() const = 0;
};

// Everything is borrowed and outlives the origin; calls end before it.
[[nodiscard]] std::unique_ptr<HttpOrigin> make_http_origin(Loop& loop, Network& network,
                                                           Metrics& metrics,
                                                           const HttpOriginOptions& options);

}  // namespace ptth
