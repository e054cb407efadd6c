#pragma once

// Checks that the probes show, and the damping that keeps readiness from flapping.

#include "common/loop.h"

#include <cstdint>
#include <string>

namespace ptth {

struct Check {
  enum class State { kPassing, kFailing };

  std::string name;
  State state = State::kFailing;
  std::string detail;  // For people: what is missing, or how much there is.
};

// A condition that comes and goes, made calm: it counts as changed only after it has kept for a
// while, so that one link that flaps does not take the process out of rotation each time. The first
// time it passes at once. Draining is not damped: do not send it through here.
class DampedCheck {
 public:
  struct Options {
    Milliseconds passes_after{1'000};
    Milliseconds fails_after{5'000};
  };

  // The loop is borrowed, for its clock.
  DampedCheck(const Loop& loop, const Options& options) : loop_(loop), options_(options) {}

  explicit DampedCheck(const Loop& loop) : DampedCheck(loop, Options()) {}

  // How the condition is now. The same again changes nothing.
  void observe(Check::State state);

  [[nodiscard]] Check::State state() const;

 private:
  const Loop& loop_;
  Options options_;
  Check::State now_ = Check::State::kFailing;
  Check::State before_ = Check::State::kFailing;  // What counts until now_ has kept.
  uint64_t since_ms_ = 0;
  bool passed_once_ = false;
};

}  // namespace ptth
