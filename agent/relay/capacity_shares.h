#pragma once

// CapacityShares: how much of the origin's capacity each of several gateways may take, so that none
// takes it all: of what is free, the rest of each other gateway's reserve is not for it.

#include "agent/origin/origin.h"
#include "common/metrics.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

class CapacityShares {
 public:
  // Of one gateway.
  struct Share {
    std::string gateway;
    uint32_t exchanges_max = 0;   // At the origin at once; 0: no limit of its own.
    WorkCount work;               // That the origin has in hand.
    bool is_attached = false;     // A gateway that is away needs no reserve.
    Counter* refusals = nullptr;  // As the gauge: null while the gateway is not there.
    Gauge* in_use_gauge = nullptr;
  };

  // reserve: exchanges for each gateway; all of them together are at most half of the capacity.
  CapacityShares(Metrics& metrics, uint32_t reserve);
  CapacityShares(const CapacityShares&) = delete;
  CapacityShares& operator=(const CapacityShares&) = delete;
  CapacityShares(CapacityShares&&) = delete;
  CapacityShares& operator=(CapacityShares&&) = delete;
  ~CapacityShares() = default;

  void set_reserve(uint32_t reserve) { reserve_ = reserve; }

  // Makes it if there is none. It lives as long as this, because the origin may be busy for a
  // gateway that has gone.
  Share& of(std::string_view gateway);
  // The gateway has gone, and its metrics are about to.
  void forget_metrics(std::string_view gateway);

  // capacity: of the origin, as it is now.
  [[nodiscard]] bool has_room(const Share& share, uint32_t capacity) const;
  // What this gateway has while the others are there and use nothing: what it is to be told.
  [[nodiscard]] uint32_t most_for(const Share& share, uint32_t capacity) const;

 private:
  [[nodiscard]] uint32_t reserve_within(uint32_t capacity) const;

  Metrics& metrics_;
  uint32_t reserve_;
  std::vector<std::unique_ptr<Share>> shares_;
};

}  // namespace ptth
