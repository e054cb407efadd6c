#pragma once

// StatusReport: what a running agent is doing, as one value. It is the document behind /status,
// which `ptth-agent status` and the page for people show.

#include "agent/readiness.h"
#include "common/metrics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptth {

struct StatusReport {
  // How long some part of exchanges took: quantiles in seconds, estimated from the histogram.
  struct Phase {
    std::string_view name;
    uint64_t count = 0;
    double p50 = 0;
    double p90 = 0;
    double p99 = 0;
    std::vector<double> bounds = {};     // Of the buckets, in seconds; the last bucket has none.
    std::vector<uint64_t> buckets = {};  // Empty without any observation.
  };

  struct Link {
    uint64_t id = 0;
    std::string_view state;
    double state_seconds = 0;  // It has been in that state for so long.
    uint64_t in_flight = 0;
    std::string last_error;
  };

  struct Event {
    double seconds_ago = 0;
    uint64_t link = 0;
    std::string_view state;  // That the link came to.
    std::string reason;      // Empty unless it was a failure.
  };

  struct Gateway {
    std::string name;
    std::string profile;
    std::string address;  // As configured.
    std::vector<Link> links;
    std::vector<Event> events;  // The oldest first.
    uint64_t in_flight = 0;
    uint64_t refused_replayable = 0;
    std::vector<std::pair<std::string_view, uint64_t>> verdicts;  // Those that came up.
    std::vector<Phase> phases;
  };

  struct Sample {
    uint64_t in_flight = 0;
    uint64_t capacity = 0;
    uint64_t queued = 0;
    uint64_t exchanges = 0;  // Ended, in all.
    uint64_t failures = 0;   // Of those, neither ok nor given up by the gateway's user.
  };

  // What a drain came to.
  struct Receipt {
    uint64_t served = 0;
    uint64_t refused_replayable = 0;
    uint64_t cut = 0;
  };

  std::string worker;
  std::string version;
  std::string_view phase;
  double uptime_seconds = 0;
  std::vector<Check> checks;
  std::string origin;
  bool origin_reachable = false;
  Sample now;
  double sample_seconds = 0;    // Between two samples.
  std::vector<Sample> samples;  // The oldest first.
  std::vector<Phase> phases;    // Of all gateways together, in the order of an exchange.
  std::vector<Gateway> gateways;
  std::optional<Receipt> receipt;     // Once a drain is over.
  std::vector<std::string> warnings;  // Log lines as JSON, the oldest first.
};

// The histograms have the same bounds, and are added up. Empty ones give count 0. For the quantiles
// a value beyond the last bound counts as that bound.
[[nodiscard]] StatusReport::Phase describe_phase(std::string_view name,
                                                 const std::vector<const Histogram*>& histograms);

// The document. Strings that are not UTF-8 are repaired.
[[nodiscard]] std::string to_json(const StatusReport& report);

}  // namespace ptth
