#pragma once

// The libuv handle of one connected or connecting socket, and what tcp_stream.cpp (connect) and
// listener.cpp (accept) share to make ByteStreams of it. Nobody else includes this.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/loop.h"

#include <memory>
#include <string>

#include <uv.h>

struct sockaddr;

namespace ptth {

class SocketStream;
class SocketConnect;

// Lives on the heap by itself, because libuv still uses it after uv_close until the close callback,
// which frees it. Whoever uses it (one of stream and connect) is null from the moment it has died.
struct Socket {
  union Handle {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  };

  // A socket connects before it writes.
  union Request {
    uv_connect_t connect;
    uv_write_t write;
  };

  Handle handle{};
  Request request{};
  SocketStream* stream = nullptr;
  SocketConnect* connect = nullptr;
  // What the kernel did not take at once: memory that a pending uv_write reads, so it does not
  // move.
  ByteQueue blocked;
};

struct CloseSocket {
  void operator()(Socket* socket) const noexcept;
};

using SocketPtr = std::unique_ptr<Socket, CloseSocket>;

[[nodiscard]] SocketPtr make_tcp_socket(Loop& loop);
[[nodiscard]] SocketPtr make_unix_socket(Loop& loop);

// The socket is connected; peer_name is for errors. Sets TCP_NODELAY where there is TCP.
[[nodiscard]] std::unique_ptr<ByteStream> make_socket_stream(Loop& loop, SocketPtr socket,
                                                             Side peer, std::string peer_name);

// "127.0.0.1:80", "[::1]:80".
[[nodiscard]] std::string address_text(const sockaddr& address);

// The longest path that the kernel takes for a Unix socket.
[[nodiscard]] size_t unix_path_bytes_max();

}  // namespace ptth
