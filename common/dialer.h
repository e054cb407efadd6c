#pragma once

// Dialer: from a host and a port to a connected stream. Resolves at every dial, then races the
// addresses (RFC 8305): families take turns, each address gets a head start, the first that
// connects wins.

#include "common/byte_stream.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/network.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ptth {

struct DialOptions {
  std::string host;  // A name, or an address that needs no DNS.
  uint16_t port = 443;
  // Turns the order of the addresses, so that several links to one host spread over them.
  uint32_t index = 0;
  Milliseconds race_delay{250};   // RFC 8305 section 5, Connection Attempt Delay.
  Milliseconds deadline{10'000};  // Over all: resolve and connect.
  uint32_t addresses_max = 16;    // More are not tried in one dial.
  // IP addresses that stand in when the name cannot be resolved.
  std::vector<std::string> address_hints = {};
  ConnectAttempt::Options connect;
};

// One dial. Destroying it cancels; not inside a callback of its listener (Loop::retire).
class Dialer {
 public:
  class Listener {
   public:
    // The addresses are known and the first is being tried. Comes for names only.
    virtual void on_resolved() = 0;
    virtual void on_dialed(std::unique_ptr<ByteStream> stream, const Address& address) = 0;
    // Terminal: kResolve, kUnreachable or kTimeout, with what was tried in words.
    virtual void on_dial_failed(const Error& error) = 0;

   protected:
    ~Listener() = default;
  };

  // network and listener are borrowed and outlive the dialer. Starts at once; the listener is
  // called from the loop.
  Dialer(Loop& loop, Network& network, const DialOptions& options, Listener& listener);
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;
  Dialer(Dialer&&) = delete;
  Dialer& operator=(Dialer&&) = delete;

  // No address is known yet.
  [[nodiscard]] bool resolving() const { return query_ != nullptr; }

  // Ends and silences the dial, also from inside a callback of the listener.
  void cancel();

 private:
  struct Attempt {
    Address address;
    std::unique_ptr<ConnectAttempt> connecting;
  };

  void on_addresses(Result<std::vector<Address>> resolved);
  void start_next();
  void on_attempt_done(size_t number, Result<std::unique_ptr<ByteStream>> result);
  void on_deadline();
  [[nodiscard]] bool any_connecting() const;
  [[nodiscard]] std::string tried() const;
  void fail(const Error& error);

  Loop& loop_;
  Network& network_;
  DialOptions options_;
  Listener& listener_;
  std::unique_ptr<Network::Query> query_;
  std::vector<Address> addresses_;
  // Those of addresses_ that were tried, in the same order.
  std::vector<Attempt> attempts_;
  std::string failures_;  // In words, for the final error.
  Timer race_;
  Timer deadline_;
};

// The order in which a link tries the addresses of its gateway: families take turns, beginning with
// that of the first (RFC 8305 section 4), and link number `index` begins `index` places later.
[[nodiscard]] std::vector<Address> dial_order(const std::vector<Address>& addresses,
                                              uint32_t index);

}  // namespace ptth
