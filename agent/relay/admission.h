#pragma once

// Admission: an Origin that wraps an Origin and lets only so many exchanges be with it at once.
// Beyond that a call fails as kOverload and retryable, before the origin has seen anything, so that
// the gateway can send it elsewhere. The seam for queues and adaptive limits: the relay never sees
// which it is.

#include "agent/origin/origin.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstdint>
#include <memory>

namespace ptth {

struct AdmissionOptions {
  uint32_t capacity = 100;  // Exchanges that the origin may have in hand.
};

// Everything is borrowed and outlives the returned origin and its calls. in_use counts the work
// that the inner origin has in hand; it outlives that origin too, which keeps slots of cancelled
// calls.
[[nodiscard]] std::unique_ptr<Origin> make_admission(Loop& loop, Metrics& metrics, Origin& inner,
                                                     const AdmissionOptions& options,
                                                     uint32_t& in_use);

}  // namespace ptth
