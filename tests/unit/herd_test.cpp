// A thousand agents that lose their gateway in the same moment, simulated: when do they dial?

#include "agent/link/backoff.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::Backoff;
using ptth::BackoffOptions;
using ptth::make_seeded_random;
using ptth::Milliseconds;

namespace {

constexpr size_t kAgents = 1000;
constexpr int64_t kOutageMs = 300'000;

// Dials in each second of an outage of five minutes, in which every dial fails at once.
std::vector<size_t> dials_by_second(const BackoffOptions& options) {
  std::vector<size_t> dials(kOutageMs / 1000);
  for (size_t agent = 0; agent < kAgents; ++agent) {
    Backoff backoff(options, make_seeded_random(agent));
    int64_t now = 0;
    while (true) {
      now += backoff.after_failure(Backoff::Cause::kUnavailable).count();
      if (now >= kOutageMs) break;
      ++dials[static_cast<size_t>(now / 1000)];
    }
  }
  return dials;
}

// When the agents are back, if the gateway is there again after so long.
std::vector<int64_t> return_times(const BackoffOptions& options, int64_t gateway_back_ms) {
  std::vector<int64_t> times;
  for (size_t agent = 0; agent < kAgents; ++agent) {
    Backoff backoff(options, make_seeded_random(agent));
    int64_t now = 0;
    while (now < gateway_back_ms)
      now += backoff.after_failure(Backoff::Cause::kUnavailable).count();
    times.push_back(now - gateway_back_ms);
  }
  std::sort(times.begin(), times.end());
  return times;
}

// A line for ten seconds.
std::string histogram(const std::vector<size_t>& dials) {
  std::string text = "\ndials of 1000 agents in each ten seconds of an outage:\n";
  for (size_t second = 0; second + 10 <= dials.size(); second += 10) {
    const auto from = dials.begin() + static_cast<std::ptrdiff_t>(second);
    const size_t count = std::accumulate(from, from + 10, size_t{0});
    text += std::to_string(second) + " s: " + std::to_string(count) + " " +
            std::string(count / 50, '#') + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("a thousand agents whose gateway went away dial at different times") {
  const std::vector<size_t> dials = dials_by_second({});
  INFO(histogram(dials));
  // From the time on when each waits for up to half a minute, 15 s on average.
  const auto settled = dials.begin() + 60;
  const size_t sum = std::accumulate(settled, dials.end(), size_t{0});
  const double mean = static_cast<double>(sum) / static_cast<double>(dials.end() - settled);
  CHECK(mean == doctest::Approx(1000.0 / 15).epsilon(0.05));
  // Of independent dials, 67 in a second on average, none of 240 seconds has half or double that.
  CHECK(static_cast<double>(*std::max_element(settled, dials.end())) < 2 * mean);
  CHECK(static_cast<double>(*std::min_element(settled, dials.end())) > mean / 2);
}

TEST_CASE("a thousand agents come back spread over half a minute after a long outage") {
  const std::vector<int64_t> times = return_times({}, 120'000);
  CHECK(times.back() <= 30'000);
  // The longest waits are met more often than the short ones: the median is below the middle.
  CHECK(times[kAgents / 2] > 6'000);
  CHECK(times[kAgents / 2] < 12'000);
  // Not more than a tenth in any second.
  for (int64_t second = 0; second < 30; ++second) {
    const auto in_second = std::count_if(times.begin(), times.end(),
                                         [&](int64_t time) { return time / 1000 == second; });
    CHECK(in_second < static_cast<int64_t>(kAgents / 10));
  }
}

TEST_CASE("a thousand agents are back soon after a short restart of their gateway") {
  const std::vector<int64_t> times = return_times({}, 200);
  CHECK(times[kAgents / 2] <= 500);
  CHECK(times[kAgents * 99 / 100] <= 2'000);
}
