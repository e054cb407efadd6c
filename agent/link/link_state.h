#pragma once

// The states of a link, as logs, metrics and the status page name them, and the ways between them.
//
//               start                                  the wait is over
//      kIdle ----------+        +----------------------------------------- kBackingOff
//                      v        v                                            ^      ^
//                   kResolving  (a name)                                     |      |
//                      |                                                     |      |
//                      v                                                     |      |
//                   kConnecting (an address)  -- a failure, in any of these -+      |
//                      |                                                     |      |
//                      v                                                     |      |
//                   kSecuring   (TLS)                                        |      |
//                      |                                                     |      |
//                      v                                                     |      |
//                   kReversing  (the profile's hello)                        |      |
//                      |  |                                                  |      |
//                      |  v                                                  |      |
//   kept for later     | kAttaching  (SETTINGS both ways) -------------------+      |
//   by the gateway     |  |                                                         |
//                      v     closed: a wait of a few ms; broken: a long one         |
//                   kAttached ------------------------------------------------------+
//                      (the gateway's GOAWAY is as a close, but the session that it leaves goes on
//                      beside the new dial until its exchanges have ended)
//
//      any state -- drain, abort --> kDraining -- nothing in flight --> kClosed

#include <cstddef>
#include <string_view>

namespace ptth {

enum class LinkState {
  kIdle,
  kBackingOff,
  kResolving,
  kConnecting,
  kSecuring,
  kReversing,
  kAttaching,
  kAttached,
  kDraining,
  kClosed,
};
inline constexpr size_t kLinkStateCount = 10;

[[nodiscard]] std::string_view to_string(LinkState state);
[[nodiscard]] bool may_follow(LinkState from, LinkState to);

}  // namespace ptth
