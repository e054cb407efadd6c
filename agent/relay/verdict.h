#pragma once

// How an exchange ended, in one word: the same in the log line, the metric and Proxy-Status (RFC
// 9209). The only place that maps errors to statuses and reset codes.

#include "common/error.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ptth {

enum class Verdict {
  kOk,
  kGatewayReset,     // The gateway gave the exchange up.
  kGatewayClosed,    // The link went away under the exchange.
  kGatewayStalled,   // The gateway neither took nor sent bytes for too long.
  kGatewayProtocol,  // The gateway broke the rules of HTTP/2 on this stream.
  kBadRequest,
  kRequestTooLarge,
  kMisdirected,
  kLoop,
  kOriginUnreachable,
  kOriginClosed,  // The origin closed before its answer was complete.
  kOriginTimeout,
  kOriginProtocol,  // The origin's answer breaks the rules.
  kOverload,
  kDraining,
  kAborted,  // We were told to stop.
  kInternal,
};
inline constexpr size_t kVerdictCount = static_cast<size_t>(Verdict::kInternal) + 1;

[[nodiscard]] std::string_view to_string(Verdict verdict);

// What the gateway is told.
struct Refusal {
  Verdict verdict;
  int status;                     // The answer, while no head has been sent; 0: reset instead.
  uint32_t reset_code;            // HTTP/2 error code, when a head has been sent or status is 0.
  std::string_view proxy_status;  // RFC 9209 error type; empty: none registered.
  std::string_view reason;        // The body, for people.
};

// How a gateway learns that it may send a request elsewhere, because no origin has seen it.
enum class ReplayStyle {
  kReset,   // REFUSED_STREAM (RFC 9113 section 8.7).
  kAnswer,  // 503 with Retry-After: HTTP/1.1 has nothing that says more.
};

[[nodiscard]] Refusal refusal_for(const Error& error, ReplayStyle replay);

}  // namespace ptth
