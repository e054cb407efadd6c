#include "agent/relay/verdict.h"

#include "agent/relay/http2_error_code.h"

namespace ptth {

namespace {

Refusal origin_refusal(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kResolve:
      return {Verdict::kOriginUnreachable, 502, http2::kInternalError, "dns_error",
              "The origin's name cannot be resolved."};
    case ErrorKind::kUnreachable:
      return {Verdict::kOriginUnreachable, 502, http2::kInternalError, "connection_refused",
              "The origin does not accept connections."};
    case ErrorKind::kTimeout:
      return {Verdict::kOriginTimeout, 504, http2::kInternalError, "connection_read_timeout",
              "The origin did not answer in time."};
    case ErrorKind::kClosed:
      return {Verdict::kOriginClosed, 502, http2::kInternalError, "connection_terminated",
              "The origin closed the connection before its answer was complete."};
    case ErrorKind::kTooLarge:
      return {Verdict::kOriginProtocol, 502, http2::kInternalError,
              "http_response_header_section_size", "The origin's answer is over a limit."};
    default:
      return {Verdict::kOriginProtocol, 502, http2::kInternalError, "http_protocol_error",
              "The origin's answer is not valid HTTP."};
  }
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kGatewayReset:
      return "gateway_reset";
    case Verdict::kGatewayClosed:
      return "gateway_closed";
    case Verdict::kGatewayStalled:
      return "gateway_stalled";
    case Verdict::kGatewayProtocol:
      return "gateway_protocol";
    case Verdict::kBadRequest:
      return "bad_request";
    case Verdict::kRequestTooLarge:
      return "request_too_large";
    case Verdict::kMisdirected:
      return "misdirected";
    case Verdict::kLoop:
      return "loop";
    case Verdict::kOriginUnreachable:
      return "origin_unreachable";
    case Verdict::kOriginClosed:
      return "origin_closed";
    case Verdict::kOriginTimeout:
      return "origin_timeout";
    case Verdict::kOriginProtocol:
      return "origin_protocol";
    case Verdict::kOverload:
      return "overload";
    case Verdict::kDraining:
      return "draining";
    case Verdict::kAborted:
      return "aborted";
    case Verdict::kInternal:
      return "internal";
  }
  return "unknown";
}

Refusal refusal_for(const Error& error, ReplayStyle replay) {
  const int replay_status = error.retryable && replay == ReplayStyle::kReset ? 0 : 503;
  if (error.kind == ErrorKind::kOverload) {
    return {Verdict::kOverload, replay_status, http2::kRefusedStream, "proxy_internal_response",
            "The worker is at its limit."};
  }
  if (error.kind == ErrorKind::kDraining) {
    return {Verdict::kDraining, replay_status, http2::kRefusedStream, "proxy_internal_response",
            "The worker is leaving."};
  }
  if (error.side == Side::kOrigin) return origin_refusal(error);
  switch (error.kind) {
    case ErrorKind::kBadRequest:
      return {Verdict::kBadRequest, 400, http2::kCancel, "http_request_error",
              "The request is not valid."};
    case ErrorKind::kNotAllowed:
      return {Verdict::kBadRequest, 501, http2::kCancel, "http_request_denied",
              "This worker does not relay that method."};
    case ErrorKind::kTooLarge:
      return {Verdict::kRequestTooLarge, 431, http2::kCancel, "http_request_error",
              "The request's fields are over a limit."};
    case ErrorKind::kMisdirected:
      return {Verdict::kMisdirected, 421, http2::kCancel, "http_request_denied",
              "This worker does not serve that authority."};
    case ErrorKind::kLoop:
      return {Verdict::kLoop, 508, http2::kCancel, "proxy_loop_detected",
              "The request has passed this worker before."};
    case ErrorKind::kTimeout:
      return {Verdict::kGatewayStalled, 408, http2::kCancel, "http_request_error",
              "The request did not make progress."};
    default:
      return {Verdict::kInternal, 500, http2::kInternalError, "proxy_internal_error",
              "Internal error."};
  }
}

}  // namespace ptth
