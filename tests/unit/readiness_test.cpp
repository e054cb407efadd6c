#include "agent/readiness.h"

#include <doctest/doctest.h>

using ptth::Check;
using ptth::ClockMode;
using ptth::DampedCheck;
using ptth::Loop;
using ptth::Milliseconds;

namespace {

constexpr DampedCheck::Options kOptions = {.passes_after = Milliseconds(1'000),
                                           .fails_after = Milliseconds(5'000)};

bool passes(const DampedCheck& check) {
  return check.state() == Check::State::kPassing;
}

}  // namespace

TEST_CASE("a damped check fails at first, and passes at once the first time") {
  Loop loop(ClockMode::kManual);
  DampedCheck check(loop, kOptions);
  CHECK_FALSE(passes(check));
  loop.advance(Milliseconds(60'000));
  CHECK_FALSE(passes(check));
  check.observe(Check::State::kPassing);
  CHECK(passes(check));
}

TEST_CASE("a damped check fails only after the condition has failed for a while") {
  Loop loop(ClockMode::kManual);
  DampedCheck check(loop, kOptions);
  check.observe(Check::State::kPassing);
  loop.advance(Milliseconds(10'000));
  check.observe(Check::State::kFailing);
  CHECK(passes(check));
  loop.advance(Milliseconds(4'999));
  // Said again, it does not begin anew.
  check.observe(Check::State::kFailing);
  CHECK(passes(check));
  loop.advance(Milliseconds(1));
  CHECK_FALSE(passes(check));
}

TEST_CASE("a damped check that has failed passes only after the condition has held for a while") {
  Loop loop(ClockMode::kManual);
  DampedCheck check(loop, kOptions);
  check.observe(Check::State::kPassing);
  check.observe(Check::State::kFailing);
  loop.advance(Milliseconds(5'000));
  REQUIRE_FALSE(passes(check));
  check.observe(Check::State::kPassing);
  CHECK_FALSE(passes(check));
  loop.advance(Milliseconds(999));
  CHECK_FALSE(passes(check));
  loop.advance(Milliseconds(1));
  CHECK(passes(check));
}

TEST_CASE("a condition that flaps faster than the damping changes nothing") {
  Loop loop(ClockMode::kManual);
  DampedCheck check(loop, kOptions);
  check.observe(Check::State::kPassing);
  loop.advance(Milliseconds(2'000));
  SUBCASE("while it passes") {
    for (int time = 0; time < 100; ++time) {
      check.observe(Check::State::kFailing);
      loop.advance(Milliseconds(4'000));
      CHECK(passes(check));
      check.observe(Check::State::kPassing);
      loop.advance(Milliseconds(10));
      CHECK(passes(check));
    }
  }
  SUBCASE("while it fails") {
    check.observe(Check::State::kFailing);
    loop.advance(Milliseconds(5'000));
    for (int time = 0; time < 100; ++time) {
      check.observe(Check::State::kPassing);
      loop.advance(Milliseconds(900));
      CHECK_FALSE(passes(check));
      check.observe(Check::State::kFailing);
      loop.advance(Milliseconds(10));
      CHECK_FALSE(passes(check));
    }
  }
}
