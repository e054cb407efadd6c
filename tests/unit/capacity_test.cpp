#include "agent/relay/gradient_limit.h"
#include "tests/support/capacity_scenario.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

namespace ptth {

namespace {

using test::CapacityPhase;
using test::CapacityTick;

struct Summary {
  double capacity = 0;  // Means of the second half of a phase.
  double origin_ms = 0;
  double served_per_second = 0;
};

std::vector<Summary> run(uint32_t limit, const std::vector<CapacityPhase>& phases) {
  const std::vector<CapacityTick> ticks = test::run_capacity_scenario(limit, phases);
  std::vector<Summary> summaries;
  size_t end = 0;
  for (const CapacityPhase& phase : phases) {
    const auto count = static_cast<size_t>(phase.seconds * 2);
    const size_t begin = end + count / 2;
    end += count;
    Summary& summary = summaries.emplace_back();
    const auto share = 1.0 / static_cast<double>(end - begin);
    for (size_t index = begin; index < end; ++index) {
      summary.capacity += ticks[index].capacity * share;
      summary.origin_ms += ticks[index].origin_ms * share;
      summary.served_per_second += ticks[index].served_per_second * share;
    }
  }
  return summaries;
}

// The origin shrinks, grows, and then becomes slower by itself.
const std::vector<CapacityPhase> kPhases = {
    {40, 20, 50, 1.3}, {40, 8, 50, 2.0}, {40, 30, 50, 1.3}, {60, 20, 100, 1.3}};

// A stream of answers, each as slow as an origin of so many threads makes it.
struct Answers {
  void feed(GradientLimit& search, uint32_t threads, double service_ms, int count) {
    for (int index = 0; index < count; ++index) {
      const uint32_t in_flight = search.limit();
      const double queueing = std::max(1.0, static_cast<double>(in_flight) / threads);
      const auto latency_us = static_cast<uint64_t>(service_ms * 1e3 * queueing);
      now_us += latency_us / in_flight + 1;
      search.add({now_us - latency_us, now_us, in_flight, outcome});
    }
  }

  uint64_t now_us = 100'000'000;
  GradientLimit::Outcome outcome = GradientLimit::Outcome::kAnswered;
};

}  // namespace

TEST_CASE("auto gets within 20 % of what an origin can take, and holds its latency") {
  const std::vector<Summary> summaries = run(0, kPhases);
  for (size_t index = 0; index < kPhases.size(); ++index) {
    CAPTURE(index);
    const CapacityPhase& phase = kPhases[index];
    CHECK(std::abs(summaries[index].capacity / phase.threads - 1) <= 0.2);
    CHECK(summaries[index].origin_ms <= 1.3 * phase.service_ms);
    // And the origin is kept busy.
    CHECK(summaries[index].served_per_second >= 0.85 * phase.threads / phase.service_ms * 1000);
  }
}

TEST_CASE("a fixed capacity that is too large makes the origin slow") {
  const std::vector<Summary> summaries = run(100, kPhases);
  for (size_t index = 0; index < kPhases.size(); ++index)
    CHECK(summaries[index].origin_ms > 2 * kPhases[index].service_ms);
}

TEST_CASE("a fixed capacity that is too small leaves the origin idle") {
  const std::vector<Summary> summaries = run(6, kPhases);
  for (const size_t index : {size_t{0}, size_t{2}, size_t{3}}) {
    const CapacityPhase& phase = kPhases[index];
    CHECK(summaries[index].served_per_second < 0.4 * phase.threads / phase.service_ms * 1000);
  }
}

TEST_CASE("the search stays between its floor and its ceiling") {
  GradientOptions options;
  options.floor = 10;
  options.ceiling = 30;
  GradientLimit search(options, 1);
  CHECK(search.limit() == 20);
  Answers answers;
  answers.feed(search, 1000, 10, 100'000);
  CHECK(search.limit() == 30);
  answers.feed(search, 2, 10, 100'000);
  CHECK(search.limit() >= 10);
  CHECK(search.limit() <= 12);
}

TEST_CASE("an origin that says overload is given less, whatever its latency") {
  GradientLimit search(GradientOptions(), 1);
  Answers answers;
  answers.outcome = GradientLimit::Outcome::kOverloaded;
  answers.feed(search, 1000, 10, 5'000);
  CHECK(search.limit() < 15);
}

TEST_CASE("an origin that nobody asks for much is not said to take more") {
  GradientLimit search(GradientOptions(), 1);
  uint64_t now_us = 1'000'000;
  for (int index = 0; index < 100'000; ++index) {
    now_us += 1000;
    search.add({now_us - 900, now_us, 1, GradientLimit::Outcome::kAnswered});
  }
  CHECK(search.limit() == 20);
  CHECK(std::abs(search.base_us() - 900) < 1);
}

TEST_CASE("an origin that becomes slower by itself is not given less for it") {
  GradientLimit search(GradientOptions(), 1);
  Answers answers;
  answers.feed(search, 40, 20, 100'000);
  CHECK(search.limit() >= 36);
  answers.feed(search, 40, 200, 100'000);
  CHECK(search.limit() >= 36);
  CHECK(search.limit() <= 48);
}

}  // namespace ptth
