#pragma once

// The hello of the profiles that ask by extended CONNECT (protocols.md sections 2 and 3): we are an
// HTTP/2 client on the connection, and the gateway is the HTTP client on the DATA of one stream of
// it. Each such profile brings its spec.

#include "agent/link/hello_request.h"
#include "agent/link/hello_spec.h"
#include "agent/link/profile.h"
#include "agent/link/tunnel_stream.h"

#include <memory>

namespace ptth {

// All of it outlives the hello. An empty credentials function brings none.
struct ConnectHello {
  const HelloSpec& spec;
  const HelloCredentials& credentials;
  const TunnelOptions& options;
};

// On a connection of its own.
[[nodiscard]] std::unique_ptr<ByteStream> make_connect_stream(Loop& loop,
                                                              std::unique_ptr<ByteStream> connected,
                                                              const ConnectHello& hello,
                                                              Profile::Listener& listener);
// In any stream.
[[nodiscard]] std::unique_ptr<ByteStream> make_connect_stream(Loop& loop,
                                                              std::unique_ptr<TunnelStream> tunnel,
                                                              const ConnectHello& hello,
                                                              Profile::Listener& listener);

}  // namespace ptth
