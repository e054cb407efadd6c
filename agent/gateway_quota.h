#pragma once

// GatewayQuota: what one gateway gets of what all of them share: buffered bytes, the origin's
// capacity, the turn of the loop. A gateway that is hostile or broken uses up its own.

#include "agent/link/link.h"
#include "agent/relay/budget.h"
#include "agent/relay/capacity_shares.h"
#include "agent/relay/turn_share.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstddef>

namespace ptth {

class GatewayQuota {
 public:
  // What is borrowed outlives it, and it outlives the links of its gateway.
  struct Surroundings {
    Loop& loop;
    Metrics& metrics;
    Budget& process_budget;
    CapacityShares& shares;
  };

  GatewayQuota(const Surroundings& around, const GatewayOptions& options);
  GatewayQuota(const GatewayQuota&) = delete;
  GatewayQuota& operator=(const GatewayQuota&) = delete;
  GatewayQuota(GatewayQuota&&) = delete;
  GatewayQuota& operator=(GatewayQuota&&) = delete;
  ~GatewayQuota() = default;

  // How many gateways there are, for equal shares.
  void divide_by(size_t gateways);

  [[nodiscard]] Budget& budget() { return budget_; }

  [[nodiscard]] TurnShare& turn() { return turn_; }

  [[nodiscard]] CapacityShares::Share& capacity() { return capacity_; }

  [[nodiscard]] const CapacityShares::Share& capacity() const { return capacity_; }

 private:
  const size_t buffer_bytes_;
  Budget budget_;
  TurnShare turn_;
  CapacityShares::Share& capacity_;
  Gauge& buffer_limit_;
};

}  // namespace ptth
