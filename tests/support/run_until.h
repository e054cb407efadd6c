#pragma once

// Turns the loop until a condition holds: how tests wait, never by sleeping. The deadline is only
// for a test that fails.

#include "common/loop.h"

#include <chrono>

namespace ptth::test {

// Waits for sockets and real timers. True if the condition holds.
template <class Predicate>
[[nodiscard]] bool run_until(Loop& loop, Predicate&& predicate,
                             Milliseconds deadline = Milliseconds(60'000)) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + deadline;
  while (!predicate()) {
    if (Clock::now() >= end) return false;
    loop.turn_waiting(Milliseconds(20));
  }
  return true;
}

// For tests without sockets: turns that do not wait, at most so many.
template <class Predicate>
[[nodiscard]] bool turn_until(Loop& loop, Predicate&& predicate, int turns_max = 100'000) {
  for (int turn = 0; turn < turns_max; ++turn) {
    if (predicate()) return true;
    loop.turn();
  }
  return predicate();
}

}  // namespace ptth::test
