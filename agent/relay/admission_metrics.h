#pragma once

// What admission counts for one class of requests. Looked up once, so that the data path only adds.

#include "common/metrics.h"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace ptth {

// Why a request left a queue, or did not get into it, without having been served.
enum class QueueDrop {
  kFull,       // No place, also not that of a less urgent one.
  kShare,      // The same, and its gateway has its share of the capacity.
  kDisplaced,  // A more urgent request, or one of a gateway with less in the queue, took its place.
  kBytes,      // Its body was too much for the queue.
  kAge,
  kDelay,      // CoDel.
  kDeadline,   // The gateway's own.
  kAbandoned,  // The gateway has given it up.
};
inline constexpr size_t kQueueDropCount = static_cast<size_t>(QueueDrop::kAbandoned) + 1;

[[nodiscard]] std::string_view to_string(QueueDrop reason);

struct ClassMetrics {
  ClassMetrics(Metrics& metrics, const std::string& name);

  Gauge& in_flight;
  Gauge& queue_length;
  Gauge& queue_bytes;
  Histogram& queue_age_seconds;  // Of all that waited, served or not.
  std::array<Counter*, kQueueDropCount> drops{};
};

}  // namespace ptth
