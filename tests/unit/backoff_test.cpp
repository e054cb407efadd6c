#include "agent/link/backoff.h"

#include <array>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

using ptth::Backoff;
using ptth::BackoffOptions;
using ptth::make_seeded_random;
using ptth::Milliseconds;
using ptth::Random;

namespace {

using Cause = Backoff::Cause;

// The largest draw: shows the bound.
const Random kMost = [](uint64_t bound) { return bound; };
const Random kLeast = [](uint64_t) -> uint64_t { return 0; };

std::vector<int64_t> delays(Backoff& backoff, Cause cause, int count) {
  std::vector<int64_t> list;
  for (int i = 0; i < count; ++i)
    list.push_back(backoff.after_failure(cause).count());
  return list;
}

}  // namespace

TEST_CASE("the bound of the wait doubles from min to max, and the draw starts at nothing") {
  Backoff most({}, kMost);
  CHECK(delays(most, Cause::kUnavailable, 9) ==
        std::vector<int64_t>{500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000});
  Backoff least({}, kLeast);
  CHECK(delays(least, Cause::kUnavailable, 3) == std::vector<int64_t>{0, 0, 0});
}

TEST_CASE("the bound stays at max for ever") {
  Backoff backoff({}, kMost);
  for (int i = 0; i < 100'000; ++i)
    (void)backoff.after_failure(Cause::kUnavailable);
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(30'000));
}

TEST_CASE("the wait starts at min again only after enough health") {
  Backoff backoff({}, kMost);
  (void)delays(backoff, Cause::kUnavailable, 4);
  backoff.was_attached(Milliseconds(9'999));
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(8'000));
  backoff.was_attached(Milliseconds(10'000));
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(500));
}

TEST_CASE("health adds up over links that were dialled again at once, but not over failures") {
  Backoff backoff({}, kMost);
  (void)delays(backoff, Cause::kUnavailable, 3);
  backoff.was_attached(Milliseconds(5'000));
  CHECK(backoff.at_once().has_value());
  backoff.was_attached(Milliseconds(5'000));
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(500));

  backoff.was_attached(Milliseconds(9'000));
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(1'000));
  backoff.was_attached(Milliseconds(9'000));
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(2'000));
}

TEST_CASE("refused credentials are tried again later than an unavailable gateway") {
  Backoff most({}, kMost);
  CHECK(delays(most, Cause::kRefused, 5) ==
        std::vector<int64_t>{10'000, 20'000, 30'000, 30'000, 30'000});
  Backoff wrong({}, kMost);
  CHECK(delays(wrong, Cause::kConfiguration, 3) == std::vector<int64_t>{10'000, 20'000, 30'000});
  Backoff least({}, kLeast);
  CHECK(delays(least, Cause::kRefused, 3) == std::vector<int64_t>{5'000, 5'000, 5'000});
}

TEST_CASE("Retry-After is a floor with our jitter behind it, and has a limit") {
  Backoff least({}, kLeast);
  CHECK(least.after_failure(Cause::kUnavailable, Milliseconds(7'000)) == Milliseconds(7'000));
  Backoff most({}, kMost);
  CHECK(most.after_failure(Cause::kUnavailable, Milliseconds(7'000)) == Milliseconds(7'500));
  CHECK(least.after_failure(Cause::kUnavailable, Milliseconds(INT64_MAX)) == Milliseconds(300'000));
  CHECK(least.after_failure(Cause::kRefused, Milliseconds(1'000)) == Milliseconds(5'000));
}

TEST_CASE("a link that closes right after attaching is dialled at once only a few times") {
  Backoff backoff({}, kMost);
  for (int i = 0; i < 4; ++i) {
    backoff.was_attached(Milliseconds(1));
    CHECK(backoff.at_once() == Milliseconds(10));
  }
  backoff.was_attached(Milliseconds(1));
  CHECK_FALSE(backoff.at_once().has_value());
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(500));
  backoff.was_attached(Milliseconds(1));
  CHECK_FALSE(backoff.at_once().has_value());
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(1'000));
}

TEST_CASE("a gateway that closes idle links every five seconds never has to wait") {
  Backoff backoff({}, kMost);
  for (int i = 0; i < 10'000; ++i) {
    backoff.was_attached(Milliseconds(5'000));
    CHECK(backoff.at_once().has_value());
  }
}

TEST_CASE("options that make no sense still give a wait") {
  Backoff backoff({.min = Milliseconds(0), .max = Milliseconds(-5), .refused_min = Milliseconds(0)},
                  kMost);
  CHECK(backoff.after_failure(Cause::kUnavailable) == Milliseconds(1));
  CHECK(backoff.after_failure(Cause::kRefused) >= Milliseconds(1));
}

TEST_CASE("a thousand agents that lost their gateway together come back spread out") {
  constexpr int kAgents = 1000;
  constexpr int kRounds = 7;  // Bounds from 0.5 s to 30 s.
  const Random seeds = make_seeded_random(20261123);
  std::array<std::array<int, 10>, kRounds> buckets{};
  for (int agent = 0; agent < kAgents; ++agent) {
    Backoff backoff({}, make_seeded_random(seeds(UINT64_MAX)));
    int64_t bound = 500;
    for (auto& round : buckets) {
      const int64_t delay = backoff.after_failure(Cause::kUnavailable).count();
      CHECK(delay >= 0);
      CHECK(delay <= bound);
      ++round[static_cast<size_t>(delay * 10 / (bound + 1))];
      bound = std::min<int64_t>(2 * bound, 30'000);
    }
  }
  // 100 are expected in each tenth; the standard deviation is 9.5.
  for (const auto& round : buckets) {
    for (const int count : round) {
      CHECK(count > 60);
      CHECK(count < 140);
    }
  }
}

TEST_CASE("a seeded random source is the same everywhere and reaches every number") {
  const Random one = make_seeded_random(7);
  const Random other = make_seeded_random(7);
  std::array<int, 6> seen{};
  for (int i = 0; i < 600; ++i) {
    const uint64_t drawn = one(5);
    CHECK(drawn == other(5));
    REQUIRE(drawn <= 5);
    ++seen[drawn];
  }
  for (const int count : seen)
    CHECK(count > 50);
  CHECK(one(0) == 0);
}
