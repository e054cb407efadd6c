#pragma once

// Network: the outside world as a dialer sees it, so that tests can give addresses without DNS and
// connections without sockets. One per loop, shared by its links.

#include "common/address.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/tcp_stream.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth {

class Network {
 public:
  // A question that is under way. Destroying it cancels; not inside its own callback.
  class Query {
   public:
    Query() = default;
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;
    Query(Query&&) = delete;
    Query& operator=(Query&&) = delete;
    virtual ~Query() = default;
  };

  // At least one address, or kResolve.
  using Resolved = std::function<void(Result<std::vector<Address>>)>;

  Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  Network(Network&&) = delete;
  Network& operator=(Network&&) = delete;
  virtual ~Network() = default;

  // Calls back once, from the loop, never from inside this call. The preferred family (RFC 6724)
  // comes first; inside a family the order is the same at every call, but another in each process:
  // so an agent can spread its links exactly, and agents spread among each other.
  [[nodiscard]] virtual std::unique_ptr<Query> resolve(const std::string& host, uint16_t port,
                                                       Resolved resolved) = 0;
  // As ConnectAttempt::tcp.
  [[nodiscard]] virtual std::unique_ptr<ConnectAttempt> connect(
      const Address& address, const ConnectAttempt::Options& options,
      ConnectAttempt::Done done) = 0;
};

// The system's resolver and TCP sockets. Must be gone before the loop; lookups that hang do not
// hold it up.
[[nodiscard]] std::unique_ptr<Network> make_system_network(Loop& loop);

}  // namespace ptth
