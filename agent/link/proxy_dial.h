#pragma once

// ProxyDial: as a Dialer, through an outbound proxy: dials the proxy, over TLS if it is an https
// one, and opens a tunnel to the gateway, whose name the proxy resolves.

#include "agent/link/profile.h"
#include "agent/link/proxy_options.h"
#include "common/dialer.h"
#include "common/loop.h"
#include "common/tls_contexts.h"
#include "common/tls_stream.h"

#include <memory>
#include <optional>

namespace ptth {

class ProxyDial final : private Dialer::Listener,
                        private TlsStream::HandshakeListener,
                        private Profile::Listener {
 public:
  // What is borrowed outlives the dial.
  struct Parameters {
    Loop& loop;
    Network& network;
    TlsContexts& tls_contexts;
    const ProxyOptions& proxy;
    // Of the gateway; the deadline is for all of it.
    DialOptions gateway;
  };

  // The listener is called from the loop: on_resolved for the proxy's name, on_dialed with the
  // proxy's address.
  ProxyDial(Parameters parameters, Dialer::Listener& listener);
  ~ProxyDial();
  ProxyDial(const ProxyDial&) = delete;
  ProxyDial& operator=(const ProxyDial&) = delete;
  ProxyDial(ProxyDial&&) = delete;
  ProxyDial& operator=(ProxyDial&&) = delete;

  [[nodiscard]] bool resolving() const;

  // Ends and silences the dial, also from inside a callback of the listener.
  void cancel();

 private:
  void on_resolved() override;
  void on_dialed(std::unique_ptr<ByteStream> stream, const Address& address) override;
  void on_dial_failed(const Error& error) override;
  void on_secured() override;
  void on_handshake_failed(const Error& error) override;
  void on_reversed(ChannelProtocol channel) override;
  void on_not_reversed(const Error& error) override;

  void secure(std::unique_ptr<ByteStream> stream);
  void open_tunnel(std::unique_ptr<ByteStream> stream);
  [[nodiscard]] Result<Secret> credentials() const;
  void fail(const Error& error);

  Parameters parameters_;
  Loop& loop_;
  Dialer::Listener& listener_;
  bool silent_ = false;
  uint64_t began_ms_;
  std::unique_ptr<Dialer> dialer_;
  std::optional<Address> address_;
  std::shared_ptr<TlsContext> tls_context_;
  std::unique_ptr<TlsStream> securing_;
  std::unique_ptr<ByteStream> tunnel_;
  Timer deadline_;
};

}  // namespace ptth
