#pragma once

// Connected pairs of real sockets on loopback, both ends as ByteStreams of one loop.

#include "common/byte_stream.h"
#include "common/loop.h"
#include "common/tcp_stream.h"

#include <cstdint>
#include <memory>
#include <netinet/in.h>
#include <string>

namespace ptth::test {

struct SocketPair {
  std::unique_ptr<ByteStream> connected;  // The end that called connect.
  std::unique_ptr<ByteStream> accepted;
};

[[nodiscard]] SocketPair tcp_pair(Loop& loop);
[[nodiscard]] SocketPair unix_pair(Loop& loop, const std::string& path);

// 127.0.0.1:port.
[[nodiscard]] sockaddr_in loopback_address(int port);

}  // namespace ptth::test
