#pragma once

// Which of the records of a service an agent uses: those of the best priority first, and among
// equals by chance in proportion to their weights (RFC 2782). Chance is the same at every look of
// one process, so that a gateway is not left because the dice have fallen anew.

#include "agent/found_gateway.h"

#include <cstdint>
#include <vector>

namespace ptth {

struct Service {
  FoundGateway gateway;
  uint16_t weight = 0;  // 0: hardly ever before another.
};

[[nodiscard]] uint64_t make_service_seed();
// At most so many, in the order in which they are used; each host and port once.
[[nodiscard]] std::vector<FoundGateway> choose_services(std::vector<Service> services, size_t most,
                                                        uint64_t seed);

}  // namespace ptth
