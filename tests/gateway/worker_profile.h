#pragma once

// The ways to reverse a connection that this gateway hears (protocols.md).

#include <string_view>

namespace ptth::dev {

enum class WorkerProfile { kHaproxy, kDirect, kPotato, kH2Reverse, kPtth, kReverse };

[[nodiscard]] std::string_view to_string(WorkerProfile profile);

// Which side sends the 24-byte client magic.
[[nodiscard]] bool worker_sends_magic(WorkerProfile profile);
// A request of HTTP/1.1 comes first (WorkerHello).
[[nodiscard]] bool asks_by_request(WorkerProfile profile);

}  // namespace ptth::dev
