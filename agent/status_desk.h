#pragma once

// StatusDesk: answers the admin listener from what the composition root knows: probes from Health,
// the status document from a report that is made when it is asked for.

#include "agent/admin_pages.h"
#include "agent/health.h"
#include "agent/link/link.h"
#include "agent/relay/relay_metrics.h"
#include "agent/status_history.h"
#include "agent/status_report.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth {

class StatusDesk final : public AdminSource {
 public:
  using MakeReport = std::function<StatusReport()>;
  using Drain = std::function<void()>;

  // Health is borrowed and outlives the desk.
  StatusDesk(Health& health, MakeReport make_report, Drain drain);

  std::vector<Check> readiness() override { return health_.readiness(); }

  std::vector<Check> startup() override { return health_.startup(); }

  std::string status() override;

  void begin_drain() override { drain_(); }

 private:
  Health& health_;
  MakeReport make_report_;
  Drain drain_;
};

[[nodiscard]] StatusReport::Gateway describe_gateway(
    const GatewayOptions& options, const std::vector<std::unique_ptr<Link>>& links,
    const RelayMetrics& metrics, const StatusHistory& history);

// Of all gateways together. queue: by class of requests.
[[nodiscard]] std::vector<StatusReport::Phase> describe_phases(
    const std::vector<const Histogram*>& queue, const Histogram& origin_connect,
    const std::vector<const RelayMetrics*>& gateways);

// Adds what one gateway's exchanges came to.
void add_exchanges(StatusReport::Sample& sample, const RelayMetrics& metrics);

}  // namespace ptth
