#include "agent/relay/capacity_shares.h"

#include <algorithm>

namespace ptth {

CapacityShares::CapacityShares(Metrics& metrics, uint32_t reserve)
    : metrics_(metrics), reserve_(reserve) {
  metrics.on_collect([this] {
    for (const auto& share : shares_) {
      if (share->in_use_gauge != nullptr) share->in_use_gauge->set(share->work.in_hand());
    }
  });
}

CapacityShares::Share& CapacityShares::of(std::string_view gateway) {
  auto found = std::find_if(shares_.begin(), shares_.end(),
                            [&](const auto& share) { return share->gateway == gateway; });
  if (found == shares_.end()) {
    shares_.push_back(std::make_unique<Share>());
    found = shares_.end() - 1;
    (*found)->gateway = gateway;
  }
  Share& share = **found;
  if (share.refusals == nullptr) {
    share.refusals =
        &metrics_.counter("ptth_capacity_share_refusals",
                          "Exchanges refused because their gateway had its share of the capacity.",
                          {{"gateway", share.gateway}});
    share.in_use_gauge = &metrics_.gauge("ptth_capacity_share_in_use",
                                         "Exchanges of this gateway that the origin has in hand.",
                                         {{"gateway", share.gateway}});
  }
  return share;
}

void CapacityShares::forget_metrics(std::string_view gateway) {
  for (const auto& share : shares_) {
    if (share->gateway != gateway) continue;
    share->refusals = nullptr;
    share->in_use_gauge = nullptr;
  }
}

bool CapacityShares::has_room(const Share& share, uint32_t capacity) const {
  if (share.exchanges_max > 0 && share.work.in_hand() >= share.exchanges_max) return false;
  const uint32_t reserve = reserve_within(capacity);
  if (share.work.in_hand() < reserve) return true;
  uint64_t taken = 0;
  for (const auto& other : shares_) {
    const bool is_kept_for_it = other.get() != &share && other->is_attached;
    taken += is_kept_for_it ? std::max(other->work.in_hand(), reserve) : other->work.in_hand();
  }
  return taken < capacity;
}

uint32_t CapacityShares::most_for(const Share& share, uint32_t capacity) const {
  const auto others = static_cast<uint32_t>(std::max<size_t>(shares_.size(), 1) - 1);
  const uint32_t most = capacity - others * reserve_within(capacity);
  return share.exchanges_max > 0 ? std::min(share.exchanges_max, most) : most;
}

uint32_t CapacityShares::reserve_within(uint32_t capacity) const {
  if (shares_.size() < 2) return 0;
  return std::min(reserve_, static_cast<uint32_t>(capacity / (2 * shares_.size())));
}

}  // namespace ptth
