#pragma once

// The ways to reverse a connection that this gateway hears (protocols.md).

#include <string_view>

namespace ptth::dev {

enum class WorkerProfile {
  kHaproxy,
  kDirect,
  kPotato,
  kH2Reverse,
  kPtth,
  kReverse,
  kPtthConnect,
  kReverseConnect,
  kEnvoy,
  kPtth10,
};

// The version of HTTP on the reversed connection.
enum class Channel { kHttp2, kHttp1 };

[[nodiscard]] std::string_view to_string(WorkerProfile profile);
// Its ALPN id.
[[nodiscard]] std::string_view to_string(Channel channel);

// Whose words a worker is held to.
[[nodiscard]] std::string_view source_of(WorkerProfile profile);
// Which side sends the 24-byte client magic.
[[nodiscard]] bool worker_sends_magic(WorkerProfile profile);
// A request of HTTP/1.1 comes first (WorkerHello).
[[nodiscard]] bool asks_by_request(WorkerProfile profile);
// Each channel is a stream of an HTTP/2 connection (OuterSession).
[[nodiscard]] bool asks_by_connect(WorkerProfile profile);
// The path of its request names the origins that it serves.
[[nodiscard]] bool registers_origins(WorkerProfile profile);
// Behind its hello a connection waits until a request needs it (UnusedWorker).
[[nodiscard]] bool waits_unused(WorkerProfile profile);

}  // namespace ptth::dev
