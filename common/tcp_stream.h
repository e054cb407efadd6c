#pragma once

// ByteStreams on the kernel's sockets: TCP and Unix domain. The bottom of every pipe.

#include "common/byte_stream.h"
#include "common/error.h"
#include "common/loop.h"

#include <functional>
#include <memory>
#include <string>

struct sockaddr;

namespace ptth {

// One attempt to connect to one address. Destroying it cancels. The callback is called once, from
// the loop, never from inside start; the attempt is not to be destroyed in it (Loop::retire).
class ConnectAttempt {
 public:
  using Done = std::function<void(Result<std::unique_ptr<ByteStream>>)>;

  ConnectAttempt() = default;
  ConnectAttempt(const ConnectAttempt&) = delete;
  ConnectAttempt& operator=(const ConnectAttempt&) = delete;
  ConnectAttempt(ConnectAttempt&&) = delete;
  ConnectAttempt& operator=(ConnectAttempt&&) = delete;
  virtual ~ConnectAttempt() = default;

  struct Options {
    Side peer = Side::kGateway;  // Blamed in errors.
    std::string source_address;  // An address of this machine to connect from; empty: the kernel's
                                 // choice. Addresses of the other family cannot be reached then.
    Milliseconds user_timeout{
        0};  // TCP_USER_TIMEOUT: unacknowledged bytes end the connection; 0 leaves the system's.
    // Silence after which TCP asks whether the other side is there; it counts in whole seconds. 0:
    // never. How long the answer may take is the user timeout's to say.
    Milliseconds keepalive_after{0};
  };

  [[nodiscard]] static std::unique_ptr<ConnectAttempt> tcp(Loop& loop, const sockaddr& address,
                                                           const Options& options, Done done);
  [[nodiscard]] static std::unique_ptr<ConnectAttempt> unix_socket(Loop& loop,
                                                                   const std::string& path,
                                                                   const Options& options,
                                                                   Done done);
};

// A listening socket. For the admin interface, the development gateway and tests.
class Listener {
 public:
  using Accepted = std::function<void(std::unique_ptr<ByteStream>)>;

  // Where a connection comes from: over loopback or a Unix socket, or over a network.
  enum class Place { kThisMachine, kElsewhere };
  using AcceptedFrom = std::function<void(std::unique_ptr<ByteStream>, Place)>;

  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  Listener(Listener&&) = delete;
  Listener& operator=(Listener&&) = delete;
  virtual ~Listener() = default;

  // address: "127.0.0.1:9000", "[::1]:9000", ":9000" (all), or "unix:/path". Port 0 lets the kernel
  // choose. When no descriptor is left, accepting pauses and goes on by itself.
  [[nodiscard]] static Result<std::unique_ptr<Listener>> listen(Loop& loop,
                                                                const std::string& address,
                                                                Accepted accepted);
  [[nodiscard]] static Result<std::unique_ptr<Listener>> listen_with_place(
      Loop& loop, const std::string& address, AcceptedFrom accepted);
  // The port that the kernel chose; 0 for Unix sockets.
  [[nodiscard]] virtual int port() const = 0;
};

}  // namespace ptth
