#include "agent/relay/relay_metrics.h"

namespace ptth {

RelayMetrics::RelayMetrics(Metrics& metrics, const std::string& gateway)
    : request_body_bytes(metrics.counter("ptth_request_body_bytes",
                                         "Bytes of request bodies received from the gateway.",
                                         {{"gateway", gateway}})),
      response_body_bytes(metrics.counter("ptth_response_body_bytes",
                                          "Bytes of response bodies handed to the gateway.",
                                          {{"gateway", gateway}})),
      streams_refused(metrics.counter("ptth_streams_refused",
                                      "Requests refused before the origin saw anything.",
                                      {{"gateway", gateway}})),
      fields_dropped(metrics.counter("ptth_request_fields_dropped",
                                     "Request fields that look like framing to CGI-style origins.",
                                     {{"gateway", gateway}})),
      gateway_resets(metrics.counter("ptth_gateway_resets", "RST_STREAM frames received.",
                                     {{"gateway", gateway}})),
      session_errors(metrics.counter("ptth_session_errors",
                                     "Frames and streams that broke the rules of HTTP/2.",
                                     {{"gateway", gateway}})),
      abuse_closes(metrics.counter("ptth_abuse_closes",
                                   "Links closed because a frame budget was used up.",
                                   {{"gateway", gateway}})),
      kernel_bound_links(metrics.counter(
          "ptth_kernel_bound_links",
          "Links whose gateway told an urgency, so that the kernel takes little at a time.",
          {{"gateway", gateway}})),
      in_flight(metrics.gauge("ptth_exchanges_in_flight",
                              "Exchanges that have begun and not ended.", {{"gateway", gateway}})),
      buffered_bytes(metrics.gauge("ptth_buffered_bytes",
                                   "Body bytes held for exchanges of this gateway.",
                                   {{"gateway", gateway}})),
      first_byte_seconds(metrics.histogram("ptth_first_byte_seconds",
                                           "Request head received to response head passed on.",
                                           latency_bounds(), {{"gateway", gateway}})),
      transfer_seconds(metrics.histogram("ptth_transfer_seconds",
                                         "Response head passed on to the end of the exchange.",
                                         latency_bounds(), {{"gateway", gateway}})),
      exchange_seconds(metrics.histogram("ptth_exchange_seconds", "Whole exchanges.",
                                         latency_bounds(), {{"gateway", gateway}})) {
  for (size_t index = 0; index < kVerdictCount; ++index) {
    const auto verdict = static_cast<Verdict>(index);
    exchanges[index] =
        &metrics.counter("ptth_exchanges", "Exchanges that have ended, by verdict.",
                         {{"gateway", gateway}, {"verdict", std::string(to_string(verdict))}});
  }
  static constexpr std::array<const char*, 6> kClasses = {"none", "1xx", "2xx",
                                                          "3xx",  "4xx", "5xx"};
  for (size_t index = 0; index < kClasses.size(); ++index) {
    responses[index] =
        &metrics.counter("ptth_responses", "Final responses, by class of status code.",
                         {{"gateway", gateway}, {"class", kClasses[index]}});
  }
}

}  // namespace ptth
