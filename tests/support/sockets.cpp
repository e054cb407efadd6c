#include "tests/support/sockets.h"

#include "common/check.h"
#include "tests/support/run_until.h"

#include <arpa/inet.h>
#include <utility>

namespace ptth::test {

namespace {

template <class Connect>
SocketPair make_pair(Loop& loop, const std::string& address, Connect&& connect) {
  SocketPair pair;
  auto listener = Listener::listen(loop, address, [&](std::unique_ptr<ByteStream> stream) {
    pair.accepted = std::move(stream);
  });
  CHECK_INVARIANT(listener.ok());
  const auto attempt =
      connect(listener.value()->port(), [&](Result<std::unique_ptr<ByteStream>> stream) {
        CHECK_INVARIANT(stream.ok());
        pair.connected = std::move(stream).value();
      });
  CHECK_INVARIANT(run_until(loop, [&] { return pair.accepted && pair.connected; }));
  return pair;
}

}  // namespace

SocketPair tcp_pair(Loop& loop) {
  return make_pair(loop, "127.0.0.1:0", [&](int port, ConnectAttempt::Done done) {
    const sockaddr_in address = loopback_address(port);
    return ConnectAttempt::tcp(loop, reinterpret_cast<const sockaddr&>(address), {},
                               std::move(done));
  });
}

SocketPair unix_pair(Loop& loop, const std::string& path) {
  return make_pair(loop, "unix:" + path, [&](int, ConnectAttempt::Done done) {
    return ConnectAttempt::unix_socket(loop, path, {}, std::move(done));
  });
}

sockaddr_in loopback_address(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace ptth::test
