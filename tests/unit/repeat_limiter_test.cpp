#include "common/repeat_limiter.h"

#include <doctest/doctest.h>

using ptth::Milliseconds;
using ptth::RepeatLimiter;

TEST_CASE("a repeated event passes in a burst, then once per interval with the count held back") {
  RepeatLimiter limiter({.burst = 2, .every = Milliseconds(1000)});
  CHECK(limiter.admit(1) == 0U);
  CHECK(limiter.admit(1) == 0U);
  CHECK_FALSE(limiter.admit(1).has_value());
  CHECK_FALSE(limiter.admit(900).has_value());
  CHECK(limiter.admit(1001) == 2U);
  CHECK_FALSE(limiter.admit(1500).has_value());
  CHECK(limiter.admit(60'000) == 1U);
  CHECK(limiter.admit(60'000) == 0U);
  CHECK_FALSE(limiter.admit(60'000).has_value());
}

TEST_CASE("a clock that stands still or steps back gives no credit") {
  RepeatLimiter limiter({.burst = 1, .every = Milliseconds(10)});
  CHECK(limiter.admit(1000).has_value());
  CHECK_FALSE(limiter.admit(1000).has_value());
  CHECK_FALSE(limiter.admit(5).has_value());
  CHECK_FALSE(limiter.admit(1009).has_value());
  CHECK(limiter.admit(1010).has_value());
}
