// The scenario of tests/support/capacity_scenario.h as CSV, once for `auto` and once for each fixed
// capacity that is given: plot_capacity.py draws it.

#include "tests/support/capacity_scenario.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

void run(uint32_t limit) {
  using ptth::test::CapacityTick;
  for (const CapacityTick& tick :
       ptth::test::run_capacity_scenario(limit, ptth::test::usual_capacity_phases())) {
    std::printf("%u,%.1f,%u,%.0f,%u,%.2f,%.0f,%.0f\n", limit, tick.seconds, tick.ideal,
                tick.unloaded_ms, tick.capacity, tick.origin_ms, tick.served_per_second,
                tick.refused_per_second);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::puts("limit,seconds,ideal,unloaded_ms,capacity,origin_ms,served,refused");
  run(0);
  for (int index = 1; index < argc; ++index)
    run(static_cast<uint32_t>(std::strtoul(argv[index], nullptr, 10)));
  return 0;
}
