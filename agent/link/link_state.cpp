#include "agent/link/link_state.h"

#include <cstdint>
#include <initializer_list>

namespace ptth {

namespace {

using enum LinkState;

constexpr uint32_t states(std::initializer_list<LinkState> list) {
  uint32_t set = 0;
  for (const LinkState state : list)
    set |= 1U << static_cast<unsigned>(state);
  return set;
}

constexpr uint32_t following(LinkState from) {
  switch (from) {
    case kIdle:
    case kBackingOff:
      return states({kResolving, kConnecting, kDraining});
    case kResolving:
      return states({kConnecting, kBackingOff, kDraining});
    case kConnecting:  // Without TLS the hello follows.
      return states({kSecuring, kReversing, kBackingOff, kDraining});
    case kSecuring:
      return states({kReversing, kBackingOff, kDraining});
    case kReversing:  // kAttached: the gateway keeps the connection for later.
      return states({kAttaching, kAttached, kBackingOff, kDraining});
    case kAttaching:
      return states({kAttached, kBackingOff, kDraining});
    case kAttached:
      return states({kBackingOff, kDraining});
    case kDraining:
      return states({kClosed});
    case kClosed:
      return 0;
  }
  return 0;
}

}  // namespace

std::string_view to_string(LinkState state) {
  switch (state) {
    case kIdle:
      return "idle";
    case kBackingOff:
      return "backing_off";
    case kResolving:
      return "resolving";
    case kConnecting:
      return "connecting";
    case kSecuring:
      return "securing";
    case kReversing:
      return "reversing";
    case kAttaching:
      return "attaching";
    case kAttached:
      return "attached";
    case kDraining:
      return "draining";
    case kClosed:
      return "closed";
  }
  return "unknown";
}

bool may_follow(LinkState from, LinkState to) {
  return (following(from) & states({to})) != 0;
}

}  // namespace ptth
