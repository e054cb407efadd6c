#pragma once

// CoDel, controlled delay (RFC 8289), for requests instead of packets: when all that leaves a queue
// has waited longer than the target for a whole interval, the queue does not absorb a burst, it
// stands; then some are dropped, more and more often, until the wait is short again. What is
// refused early can be served elsewhere; without this everything is served late.

#include "common/loop.h"

#include <cstdint>

namespace ptth {

struct CoDelOptions {
  Milliseconds target{50};     // A wait that is fine for ever. 0: nothing is dropped.
  Milliseconds interval{500};  // How long a longer one may last.

  [[nodiscard]] bool operator==(const CoDelOptions&) const = default;
};

// The decisions for one queue.
class CoDel {
 public:
  explicit CoDel(const CoDelOptions& options) : options_(options) {}

  // To be asked when a request leaves the queue that has waited so long, in the order of time.
  // is_last: the queue is empty behind it.
  [[nodiscard]] bool drops(Milliseconds waited, uint64_t now_ms, bool is_last);

 private:
  // The wait has been above the target for an interval.
  [[nodiscard]] bool stands(Milliseconds waited, uint64_t now_ms, bool is_last);
  [[nodiscard]] uint64_t next_drop(uint64_t from_ms) const;

  CoDelOptions options_;
  uint64_t stands_from_ms_ = 0;  // 0: the wait is below the target.
  uint64_t next_drop_ms_ = 0;
  uint32_t count_ = 0;  // Drops since it began to drop.
  uint32_t last_count_ = 0;
  bool dropping_ = false;
};

}  // namespace ptth
