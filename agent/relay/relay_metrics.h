#pragma once

// What the relay counts, for one gateway. Looked up once, so that the data path only adds.

#include "agent/relay/verdict.h"
#include "common/metrics.h"

#include <array>
#include <string>

namespace ptth {

struct RelayMetrics {
  RelayMetrics(Metrics& metrics, const std::string& gateway);

  std::array<Counter*, kVerdictCount> exchanges{};  // By verdict.
  std::array<Counter*, 6> responses{};              // By status class; [0] is none.
  Counter& request_body_bytes;
  Counter& response_body_bytes;
  Counter& streams_refused;  // REFUSED_STREAM: capacity or drain.
  Counter& fields_dropped;   // Request fields that CGI-style origins would confuse with framing.
  Counter& gateway_resets;   // RST_STREAM received.
  Counter& session_errors;   // Streams that the gateway made us reset.
  Counter& abuse_closes;     // Links closed because a frame budget ran out.
  Counter& kernel_bound_links;
  Gauge& in_flight;
  Gauge& buffered_bytes;
  Histogram& first_byte_seconds;  // Request head received to response head sent on.
  Histogram& transfer_seconds;    // From there to the end of the exchange.
  Histogram& exchange_seconds;
};

}  // namespace ptth
