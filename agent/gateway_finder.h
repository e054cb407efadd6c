#pragma once

// GatewayFinder: one DiscoverySource over time. It looks when what it knows is no longer good, and
// sooner when gateways cannot be reached; when a look fails it keeps what it found last.

#include "agent/discovery_source.h"
#include "agent/found_gateway.h"
#include "agent/link/backoff.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth {

class GatewayFinder {
 public:
  struct Surroundings {
    Loop& loop;
    Log& log;
    Metrics& metrics;
    Random random;  // For the waits.
  };

  // on_change: found() is another, from the loop. What is borrowed outlives it. known: from before,
  // until the first look has come to an end.
  GatewayFinder(const Surroundings& around, std::string name, const DiscoveryOptions& options,
                std::unique_ptr<DiscoverySource> source, std::vector<FoundGateway> known,
                std::function<void()> on_change);
  // Not inside on_change.
  ~GatewayFinder();
  GatewayFinder(const GatewayFinder&) = delete;
  GatewayFinder& operator=(const GatewayFinder&) = delete;
  GatewayFinder(GatewayFinder&&) = delete;
  GatewayFinder& operator=(GatewayFinder&&) = delete;

  // A gateway cannot be reached: perhaps it is elsewhere by now.
  void look_soon();

  [[nodiscard]] const std::string& name() const { return name_; }

  [[nodiscard]] const DiscoveryOptions& options() const { return options_; }

  [[nodiscard]] const std::vector<FoundGateway>& found() const { return found_; }

 private:
  void look();
  void on_looked(Result<DiscoverySource::Looked> looked);
  void on_failed(const Error& error);
  void look_after(Milliseconds wait);
  [[nodiscard]] Counter& looks(const char* outcome);

  Surroundings around_;
  const std::string name_;
  const DiscoveryOptions options_;
  std::unique_ptr<DiscoverySource> source_;
  std::function<void()> on_change_;
  std::vector<FoundGateway> found_;
  Gauge& found_gauge_;
  Gauge& last_success_;
  bool is_looking_ = false;
  uint32_t failures_ = 0;  // One after the other.
  uint64_t looked_ms_ = 0;
  uint64_t next_look_ms_ = 0;
  Timer next_look_;
  Timer deadline_;
};

}  // namespace ptth
