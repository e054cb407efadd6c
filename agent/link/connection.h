#pragma once

// Connection: one pass of a link, from the dial over TLS and the profile's hello to the end of the
// session. It never dials twice; what follows its end is the link's to decide.

#include "agent/link/backoff.h"
#include "agent/link/link.h"
#include "agent/link/profile.h"
#include "agent/link/profile_chooser.h"
#include "agent/link/proxy_dial.h"
#include "agent/relay/session.h"
#include "common/dialer.h"
#include "common/loop.h"
#include "common/record_gate.h"
#include "common/tls_stream.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ptth {

// Another place than the configuration's, to which a gateway has sent us.
struct Detour {
  std::string host;
  uint16_t port = 0;
  std::string server_name;
  std::unique_ptr<Profile> profile;
};

class Connection final : private Dialer::Listener,
                         private TlsStream::HandshakeListener,
                         private Profile::Listener,
                         private Session::Listener {
 public:
  class Listener {
   public:
    // kConnecting, kSecuring, kReversing, kAttaching, kAttached, in this order; kSecuring only with
    // TLS.
    virtual void on_connection_step(Connection& connection, LinkState step) = 0;
    // The gateway sends no new requests; those in flight go on. After kAttached only.
    virtual void on_connection_leaving(Connection& connection) = 0;
    // The gateway wants to be rid of what carries the session, which goes on until it is replaced.
    // After kAttached only.
    virtual void on_connection_replacement_wanted(Connection& connection) = 0;
    // Where carries_one_exchange(): exchanges_in_flight() has changed.
    virtual void on_connection_load_changed(Connection& connection) = 0;
    // Terminal. kRefused: the gateway did not accept our credentials, unless trial() says that it
    // probably did not (see explained()); kClosed with retryable on a
    // connection that was attached: nothing was wrong.
    virtual void on_connection_ended(Connection& connection, const Error& error) = 0;
    // Terminal, before there is a session: the gateway wants another connection, elsewhere if
    // is_moved(), or by the same way as this one. With the detour that this is; null: none.
    virtual void on_connection_redirected(Connection& connection,
                                          std::unique_ptr<Detour> detour) = 0;

   protected:
    ~Listener() = default;
  };

  // What is borrowed outlives the connection.
  struct Parameters {
    const Link::Surroundings& around;
    const GatewayOptions& gateway;
    uint32_t index;
    uint32_t capacity;
    uint64_t link_id;
    ProfileOffer offer;
    std::unique_ptr<Detour> detour = {};  // Has its own profile, then.
  };

  // Begins with step(): kResolving, or kConnecting when the host is an address. The listener is
  // called from the loop.
  Connection(Parameters parameters, Connection::Listener& listener);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  // Only with a session; on_connection_ended follows.
  void drain();
  void abort();
  // No listener call comes after it. Then hand it to Loop::retire.
  void silence();

  // Of the session, also of one that begins later.
  void set_capacity(uint32_t capacity);

  // What the gateway has been told, or will be told; 0 with HTTP/1.1.
  [[nodiscard]] uint32_t capacity() const {
    return session_ ? session_->capacity() : parameters_.capacity;
  }

  [[nodiscard]] uint32_t take_demand() { return session_ ? session_->take_demand() : 0; }

  [[nodiscard]] LinkState step() const { return step_; }

  [[nodiscard]] bool has_session() const { return session_ != nullptr; }

  [[nodiscard]] bool is_moved() const { return is_moved_; }

  // For the ProfileChooser.
  [[nodiscard]] const ProfileTrial& trial() const { return trial_; }

  void note_worked() { trial_.has_worked = true; }

  // As Session::has_been_asked().
  [[nodiscard]] bool has_been_asked() const { return session_ && session_->has_been_asked(); }

  [[nodiscard]] size_t exchanges_in_flight() const;

  // HTTP/1.1. Known from kAttaching on.
  [[nodiscard]] bool carries_one_exchange() const { return channel_ == ChannelProtocol::kHttp11; }

  // Where carries_one_exchange(): so many, whole.
  [[nodiscard]] uint64_t exchanges_answered() const;

  [[nodiscard]] Milliseconds attached_for() const;
  [[nodiscard]] Milliseconds age() const;
  // Of what carries it, which may have carried others before.
  [[nodiscard]] Milliseconds carrier_age() const;

  // For the log; empty until known.
  [[nodiscard]] const std::string& address() const { return address_; }

  [[nodiscard]] const std::string& tls_version() const { return tls_version_; }

  [[nodiscard]] const std::optional<std::string>& exporter() const { return exporter_; }

 private:
  void on_resolved() override;
  void on_dialed(std::unique_ptr<ByteStream> stream, const Address& address) override;
  void on_dial_failed(const Error& error) override;
  void on_secured() override;
  void on_handshake_failed(const Error& error) override;
  void on_reversed(ChannelProtocol channel) override;
  void on_not_reversed(const Error& error) override;
  void on_hello_progress() override;
  void on_carried(const Carrier& carrier) override;
  void on_replacement_wanted() override;
  void on_held(ChannelProtocol channel) override;
  void on_redirected(const Redirect* redirect) override;
  void on_session_attached() override;
  void on_session_leaving() override;
  void on_session_load_changed() override;
  void on_session_ended(const Error& error) override;

  void dial();
  void borrow();
  void secure(std::unique_ptr<ByteStream> stream);
  [[nodiscard]] bool agree();
  void reverse(std::unique_ptr<ByteStream> stream);

  [[nodiscard]] const Profile& profile() const { return *trial_.agreed; }

  // The ids that mean HTTP/1.1.
  [[nodiscard]] std::vector<std::string> http1_alpn() const;
  [[nodiscard]] std::string tls_name() const;
  [[nodiscard]] bool has_verified_gateway() const;
  [[nodiscard]] std::unique_ptr<Origin> make_challenge() const;
  [[nodiscard]] std::unique_ptr<Origin> make_worker_document(Origin& inner) const;
  [[nodiscard]] std::unique_ptr<Detour> make_detour(const Redirect& redirect) const;
  void on_deadline();
  void move_to(LinkState step);
  void end(Error error);
  void judge(Error& error);

  Parameters parameters_;
  Loop& loop_;
  Connection::Listener& listener_;
  LinkState step_;
  ProfileTrial trial_;
  bool silent_ = false;
  bool is_moved_ = false;
  bool is_lent_ = false;  // What carries the channel.
  bool replacement_wanted_ = false;
  uint64_t began_ms_;
  Milliseconds carrier_head_start_{0};
  uint64_t attached_ms_ = 0;
  std::string address_;
  std::string tls_version_;
  ChannelProtocol channel_ = ChannelProtocol::kHttp2;
  // In the order in which each uses those before it.
  std::shared_ptr<TlsContext> tls_context_;
  std::unique_ptr<Dialer> dialer_;
  std::unique_ptr<ProxyDial> proxy_dial_;
  std::unique_ptr<TlsStream> securing_;
  RecordGate* gate_ = nullptr;  // In securing_, then in stream_.
  std::unique_ptr<ByteStream> stream_;
  std::optional<std::string> exporter_;      // Only where a gateway may ask who we are.
  std::unique_ptr<Origin> challenge_;        // The same.
  std::unique_ptr<Origin> worker_document_;  // Only where a gateway may read it.
  std::unique_ptr<Session> session_;
  Timer deadline_;
};

}  // namespace ptth
