#pragma once

// A tunnel through an outbound HTTP proxy (RFC 9110 section 9.3.6): CONNECT, and a 2xx makes a
// stream to the gateway of the one to the proxy.

#include "agent/link/profile.h"
#include "common/byte_stream.h"
#include "common/loop.h"
#include "common/secret.h"

#include <memory>
#include <string>

namespace ptth {

struct ProxyTunnelOptions {
  std::string proxy;   // For errors.
  std::string target;  // "gw.example:443"
  Secret credentials;  // user:password; empty: none.
};

// The listener hears on_reversed when the tunnel is open, else on_not_reversed: kRefused when the
// proxy wants (other) credentials, kUnreachable when it says no or cannot reach the gateway,
// kProtocol when it is no proxy.
[[nodiscard]] std::unique_ptr<ByteStream> make_proxy_tunnel(Loop& loop,
                                                            std::unique_ptr<ByteStream> connected,
                                                            ProxyTunnelOptions options,
                                                            Profile::Listener& listener);

}  // namespace ptth
