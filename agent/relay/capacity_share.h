#pragma once

// How the capacity is shared by the links: each gateway is told, as MAX_CONCURRENT_STREAMS, how
// many exchanges its link may have, and shares move to where the demand is. A pure calculation,
// done once per interval.

#include "common/loop.h"

#include <cstdint>
#include <span>
#include <vector>

namespace ptth {

struct ShareOptions {
  // The shares of all links together, of the capacity. More than 100: a link may use what others
  // leave, and what is too much waits in the queue.
  uint32_t overcommit_percent = 200;
  Milliseconds interval{1'000};  // Between two looks at the demand.

  [[nodiscard]] bool operator==(const ShareOptions&) const = default;
};

struct ShareDemand {
  uint32_t share = 0;   // What the link has been told.
  uint32_t demand = 0;  // The most that it had open since the last look, and what it was refused.
};

// The shares from now on, in the same order. Each is at least 1 and at most the capacity; together
// they are at most the capacity times the overcommit, if that leaves 1 for each. Damped: a share
// falls by at most a quarter of itself at a time, and no more is given away than others give up;
// small differences change nothing.
[[nodiscard]] std::vector<uint32_t> next_shares(std::span<const ShareDemand> links,
                                                uint32_t capacity, uint32_t overcommit_percent);

// Of a link that is one of so many, of whose demand nothing is known.
[[nodiscard]] uint32_t first_share(uint32_t links, uint32_t capacity, uint32_t overcommit_percent);

}  // namespace ptth
