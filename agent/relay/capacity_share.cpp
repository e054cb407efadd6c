#include "agent/relay/capacity_share.h"

#include <algorithm>

namespace ptth {

namespace {

// What a link gets beyond its demand, so that it can grow before the next look.
constexpr uint32_t kSpareDivisor = 2;
constexpr uint32_t kSpareMin = 2;
constexpr uint32_t kFallDivisor = 4;
// A share that would change by less stays.
constexpr uint32_t kNoiseDivisor = 10;

uint64_t budget_for(size_t links, uint32_t capacity, uint32_t overcommit_percent) {
  const uint64_t budget = uint64_t{capacity} * overcommit_percent / 100;
  return std::max<uint64_t>(budget, links);
}

// Everyone gets the same until he has what he wants.
std::vector<uint32_t> fill_evenly(const std::vector<uint32_t>& wanted, uint64_t budget) {
  std::vector<size_t> order(wanted.size());
  for (size_t index = 0; index < order.size(); ++index)
    order[index] = index;
  std::sort(order.begin(), order.end(),
            [&](size_t left, size_t right) { return wanted[left] < wanted[right]; });
  std::vector<uint32_t> given(wanted.size());
  uint64_t left = order.size();
  for (const size_t index : order) {
    const uint64_t part = std::min<uint64_t>(wanted[index], budget / left);
    given[index] = static_cast<uint32_t>(part);
    budget -= part;
    --left;
  }
  return given;
}

// What nobody asks for is given to all, so that a burst finds room anywhere.
std::vector<uint32_t> targets(std::span<const ShareDemand> links, uint32_t capacity,
                              uint64_t budget) {
  std::vector<uint32_t> wanted;
  for (const ShareDemand& link : links) {
    const uint64_t spare = std::max(link.demand / kSpareDivisor, kSpareMin);
    wanted.push_back(static_cast<uint32_t>(std::min<uint64_t>(link.demand + spare, capacity)));
  }
  std::vector<uint32_t> given = fill_evenly(wanted, budget);
  std::vector<uint32_t> room;
  for (const uint32_t share : given) {
    room.push_back(capacity - std::min(share, capacity));
    budget -= share;
  }
  const std::vector<uint32_t> more = fill_evenly(room, budget);
  for (size_t index = 0; index < given.size(); ++index)
    given[index] = std::max(given[index] + more[index], 1U);
  return given;
}

}  // namespace

uint32_t first_share(uint32_t links, uint32_t capacity, uint32_t overcommit_percent) {
  const uint64_t even = budget_for(links, capacity, overcommit_percent) / std::max(links, 1U);
  return static_cast<uint32_t>(std::clamp<uint64_t>(even, 1, std::max(capacity, 1U)));
}

std::vector<uint32_t> next_shares(std::span<const ShareDemand> links, uint32_t capacity,
                                  uint32_t overcommit_percent) {
  capacity = std::max(capacity, 1U);
  const uint64_t budget = budget_for(links.size(), capacity, overcommit_percent);
  std::vector<uint32_t> shares = targets(links, capacity, budget);
  uint64_t taken = 0;
  for (size_t index = 0; index < shares.size(); ++index) {
    const uint32_t now = links[index].share;
    uint32_t& next = shares[index];
    const uint32_t change = next > now ? next - now : now - next;
    // More than the capacity has no use, and no reason to wait.
    if (change <= now / kNoiseDivisor && now <= capacity) next = now;
    const uint32_t least = now - std::max(now / kFallDivisor, 1U);
    if (next < now) next = std::min(std::max(next, least), capacity);
    taken += std::min(next, now);
  }
  // Raised by no more than is free; what keeps the sum too large falls further next time.
  uint64_t free = budget > taken ? budget - taken : 0;
  for (size_t index = 0; index < shares.size(); ++index) {
    const uint32_t now = links[index].share;
    if (shares[index] <= now) continue;
    const auto more = static_cast<uint32_t>(std::min<uint64_t>(shares[index] - now, free));
    shares[index] = now + more;
    free -= more;
  }
  return shares;
}

}  // namespace ptth
