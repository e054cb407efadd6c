#include "agent/relay/link_share.h"

#include <algorithm>

namespace ptth {

namespace {

// What a HAProxy keeps of its streams when its share falls, beyond half as many again as are open.
constexpr size_t kRoomAboveOpen = 4;

}  // namespace

std::optional<uint32_t> LinkShare::next(size_t open) {
  uint32_t limit = wanted_;
  if (limit < announced_ && style_ == DrainStyle::kHoldAndClose) {
    // A HAProxy that finds itself at a lowered limit fails the next request (quiet_drain.h): leave
    // room for those that are on their way.
    const size_t least = std::max<size_t>(limit, open + open / 2 + kRoomAboveOpen);
    limit = static_cast<uint32_t>(std::min<size_t>(least, announced_));
  }
  if (limit == announced_) return std::nullopt;
  announced_ = limit;
  enforced_ = std::max(enforced_, limit);
  return limit;
}

void LinkShare::note_acknowledged() {
  if (unanswered_ > 0) --unanswered_;
  if (unanswered_ == 0) enforced_ = announced_;
}

}  // namespace ptth
