#include "agent/relay/admission_metrics.h"

namespace ptth {

std::string_view to_string(QueueDrop reason) {
  switch (reason) {
    case QueueDrop::kFull:
      return "full";
    case QueueDrop::kShare:
      return "share";
    case QueueDrop::kDisplaced:
      return "displaced";
    case QueueDrop::kBytes:
      return "bytes";
    case QueueDrop::kAge:
      return "age";
    case QueueDrop::kDelay:
      return "delay";
    case QueueDrop::kDeadline:
      return "deadline";
    case QueueDrop::kAbandoned:
      return "abandoned";
  }
  return "unknown";
}

ClassMetrics::ClassMetrics(Metrics& metrics, const std::string& name)
    : in_flight(metrics.gauge("ptth_in_flight", "Exchanges that the origin has in hand, by class.",
                              {{"class", name}})),
      queue_length(metrics.gauge("ptth_queue_length", "Requests that wait for the origin.",
                                 {{"class", name}})),
      queue_bytes(metrics.gauge("ptth_queue_bytes", "Of the bodies of requests that wait.",
                                {{"class", name}})),
      queue_age_seconds(metrics.histogram("ptth_queue_age_seconds",
                                          "How long requests have waited, served or not.",
                                          latency_bounds(), {{"class", name}})) {
  for (size_t index = 0; index < kQueueDropCount; ++index) {
    const std::string reason(to_string(static_cast<QueueDrop>(index)));
    drops[index] = &metrics.counter("ptth_queue_drops",
                                    "Requests that were not served because of a queue's limits.",
                                    {{"class", name}, {"reason", reason}});
  }
}

}  // namespace ptth
