#pragma once

// Discovery: all gateways that there shall be now: those that the configuration names, and those
// that are found where it says.

#include "agent/config.h"
#include "agent/gateway_finder.h"
#include "common/fetch.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/network.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace ptth {

class Discovery {
 public:
  // on_change: gateways() gives others, from the loop. The rest is borrowed and outlives it.
  Discovery(Loop& loop, Log& log, Metrics& metrics, Network& network,
            std::function<void()> on_change);
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;
  Discovery(Discovery&&) = delete;
  Discovery& operator=(Discovery&&) = delete;

  // Begins to look where it says, and ends what it no longer says. What was found stays until the
  // first look of what has changed has come to an end, as far as that may find it.
  void configure(const Config& config);
  [[nodiscard]] std::vector<GatewayOptions> gateways(const Config& config) const;
  // That gateway cannot be reached, or again: of gateways with priorities, those of the next one
  // are there only while no better one can be.
  void note_trouble(const std::string& gateway);
  void note_attached(const std::string& gateway);

 private:
  // What a finder was made of.
  struct Asked {
    DiscoveryOptions options;
    ProxyOptions proxy;

    [[nodiscard]] bool operator==(const Asked&) const = default;
  };

  struct Entry {
    Asked asked;
    std::unique_ptr<GatewayFinder> finder;
  };

  [[nodiscard]] Asked asked_by(const GatewayOptions& gateway, const Config& config) const;
  [[nodiscard]] std::unique_ptr<GatewayFinder> make_finder(const std::string& name,
                                                           const Asked& asked,
                                                           std::vector<FoundGateway> known);
  [[nodiscard]] GatewayFinder* finder(const std::string& name) const;
  void on_found();
  // Of what was found, in the order of their priority.
  [[nodiscard]] std::vector<FoundGateway> wanted(const GatewayFinder& finder) const;

  Loop& loop_;
  Log& log_;
  Metrics& metrics_;
  Network& network_;
  std::function<void()> on_change_;
  std::unique_ptr<Fetcher> fetcher_;  // Null: no document was asked for yet.
  std::vector<Entry> finders_;
  std::set<std::string> in_trouble_;
  EndOfTurn changed_;
};

}  // namespace ptth
