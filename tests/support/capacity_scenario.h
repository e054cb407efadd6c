#pragma once

// Requests come faster than an origin of changing size can serve them; admission stands between.
// What happened is told once per tick, for the plot (tests/bench) and for the test of the
// controller.

#include "agent/relay/admission.h"
#include "tests/support/simulated_origin.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace ptth::test {

struct CapacityPhase {
  double seconds = 60;
  uint32_t threads = 10;   // The ideal capacity.
  double service_ms = 50;  // The latency without queueing.
  double load = 1.3;       // Requests that come, of what the threads can serve.
};

struct CapacityTick {
  double seconds = 0;
  uint32_t ideal = 0;
  double unloaded_ms = 0;
  uint32_t capacity = 0;
  double origin_ms = 0;  // Mean from the origin's first sight of a request to its answer.
  double served_per_second = 0;
  double refused_per_second = 0;
};

// limit: as CapacityOptions::limit.
[[nodiscard]] std::vector<CapacityTick> run_capacity_scenario(
    uint32_t limit, const std::vector<CapacityPhase>& phases);

// The phases of the plot.
[[nodiscard]] std::vector<CapacityPhase> usual_capacity_phases();

}  // namespace ptth::test
