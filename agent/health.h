#pragma once

// Turns what the agent knows of its links and its origin into the checks that the probes show.
// Looks twice a second, so that damping counts time and not the questions of a probe.

#include "agent/readiness.h"
#include "common/loop.h"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace ptth {

class Health {
 public:
  struct Facts {
    enum class Phase { kServing, kLeaving };

    size_t links = 0;
    size_t links_attached = 0;
    bool origin_reachable = false;
    std::string origin;  // Its name, for people.
    Phase phase = Phase::kServing;
  };

  using Look = std::function<Facts()>;

  // The loop is borrowed.
  Health(Loop& loop, Look look);

  // Ready: at least one link attached, origin reachable, not leaving. One gateway that is broken
  // does not take the others out of service.
  std::vector<Check> readiness();
  // Started: both once, at any time.
  std::vector<Check> startup();

 private:
  static constexpr Milliseconds kInterval{500};

  Facts observe();

  Look look_;
  DampedCheck link_attached_;
  DampedCheck origin_reachable_;
  Check::State link_seen_ = Check::State::kFailing;
  Check::State origin_seen_ = Check::State::kFailing;
  Timer timer_;
};

}  // namespace ptth
