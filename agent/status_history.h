#pragma once

// StatusHistory: what has happened lately, for people who look: what each link went through, and
// how busy the agent was in each of the last seconds. All of it is bounded.

#include "agent/link/link.h"
#include "agent/status_report.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace ptth {

class StatusHistory {
 public:
  static constexpr size_t kEventsPerGatewayMax = 32;
  static constexpr size_t kSamplesMax = 300;
  static constexpr Milliseconds kSampleInterval{1'000};

  using Measure = std::function<StatusReport::Sample()>;

  // The loop is borrowed.
  StatusHistory(Loop& loop, Measure measure);

  // Takes no more samples.
  void stop() { timer_.stop(); }

  void note(const Link& link, LinkState state);
  // The gateway is gone.
  void forget(const std::string& gateway);

  [[nodiscard]] std::vector<StatusReport::Event> events(const std::string& gateway) const;
  // Since the link came to the state that it is in.
  [[nodiscard]] double state_seconds(const Link& link) const;

  [[nodiscard]] std::vector<StatusReport::Sample> samples() const {
    return {samples_.begin(), samples_.end()};
  }

  [[nodiscard]] double uptime_seconds() const { return seconds_since(began_ms_); }

 private:
  struct Event {
    uint64_t at_ms;
    uint64_t link;
    LinkState state;
    std::string reason;
  };

  struct Gateway {
    std::deque<Event> events;
    std::map<uint64_t, uint64_t> since_ms;  // By link, of those that are not closed.
  };

  [[nodiscard]] double seconds_since(uint64_t ms) const;
  void sample();

  Loop& loop_;
  Measure measure_;
  uint64_t began_ms_;
  std::map<std::string, Gateway, std::less<>> gateways_;
  std::deque<StatusReport::Sample> samples_;
  Timer timer_;
};

}  // namespace ptth
