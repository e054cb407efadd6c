#pragma once

// Profile: one way to reverse a connection (protocols.md). It takes a connected stream and gives
// back the stream on which the gateway is the HTTP client. Each kind is one .cpp with one factory
// line here.

#include "agent/link/envoy_options.h"
#include "agent/link/hello_request.h"
#include "agent/link/hello_spec.h"
#include "agent/link/tunnel_options.h"
#include "agent/relay/session.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http_uri.h"
#include "common/loop.h"
#include "common/record_gate.h"
#include "common/tls_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptth {

// The version of HTTP that the gateway speaks on the reversed connection.
enum class ChannelProtocol { kHttp2, kHttp11 };

// What is certain once a connection over TLS has attached, beside who the gateway is; the least
// first.
enum class Assurance {
  kArranged,     // Nothing: both sides only take it to be so, or TLS has been left.
  kUnconfirmed,  // The gateway has taken the connection, as any HTTP/2 server would.
  kConfirmed,    // It means to reverse: by an ALPN id that says nothing else, or by its answer to a
                 // hello.
  kMutual,       // The same, and it has asked for our certificate.
};

// Where a gateway has sent us.
struct Redirect {
  HttpUri uri;
  bool same_place = false;  // Scheme, host and port are as they were.
};

// From the URI of a hello to where its answer leads.
[[nodiscard]] Redirect redirect_to(const HttpUri& location, const HttpUri& from);

class TunnelStream;

// What carries a channel that shares its connection with others.
struct Carrier {
  std::string address;  // For the log, as the next.
  std::string tls_version;
  Milliseconds age{0};
  std::optional<std::string> exporter = {};  // Of its TLS, where a gateway may ask who we are.
};

class Profile {
 public:
  class Listener {
   public:
    // The session may start: set it as the listener of the reversed stream; bytes that arrived
    // behind the hello follow.
    virtual void on_reversed(ChannelProtocol channel) = 0;
    // Terminal: the gateway refused (kRefused) or broke the rules (kProtocol), or the stream
    // failed.
    virtual void on_not_reversed(const Error& error) = 0;

    // The gateway is there and asks for patience: the time for the hello starts anew.
    virtual void on_hello_progress() {}

    // reverse_lent() only: the connection that carries the channel is there, and the hello begins.
    virtual void on_carried(const Carrier& carrier) { static_cast<void>(carrier); }

    // The gateway wants to be rid of the connection that carries the channel, which goes on until
    // it is replaced. At any time before the terminal events, and after on_reversed.
    virtual void on_replacement_wanted() {}

    // The gateway has accepted us and keeps the connection until it needs it, however long that
    // takes; it will speak this version then. Another call than on_hello_progress follows.
    virtual void on_held(ChannelProtocol channel) { static_cast<void>(channel); }

    // Terminal: the gateway wants another connection: elsewhere (see Profile::at) or, if null, as
    // this one was.
    virtual void on_redirected(const Redirect* redirect) { static_cast<void>(redirect); }

   protected:
    ~Listener() = default;
  };

  Profile() = default;
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  Profile(Profile&&) = delete;
  Profile& operator=(Profile&&) = delete;
  virtual ~Profile() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  // The ALPN ids to offer, as bytes, unless the configuration names others.
  [[nodiscard]] virtual std::vector<std::string> default_alpn() const = 0;

  // Offered behind those, unless the configuration names either: they mean HTTP/1.1.
  [[nodiscard]] virtual std::vector<std::string> http1_alpn() const { return {}; }

  [[nodiscard]] virtual Assurance assurance() const { return Assurance::kConfirmed; }

  // Whether the gateway must confirm one of them.
  [[nodiscard]] virtual bool requires_alpn() const { return true; }

  // Whether it may leave TLS on a connection that goes on: reverse_secured() is then given a gate.
  [[nodiscard]] virtual bool may_leave_tls() const { return false; }

  // Whether the gateway must ask for our certificate.
  [[nodiscard]] virtual bool requires_certificate_request() const { return false; }

  // The session's ORIGIN frame (RFC 8336), right behind its first SETTINGS; empty: none.
  [[nodiscard]] virtual std::vector<std::string> announced_origins() const { return {}; }

  // How this kind of gateway is told that we leave.
  [[nodiscard]] virtual DrainStyle drain_style() const = 0;
  // HAProxy reads MAX_CONCURRENT_STREAMS only from a second SETTINGS frame.
  [[nodiscard]] virtual bool capacity_in_second_settings() const = 0;
  // The returned stream owns the connected one. The listener outlives it and is called from the
  // loop.
  [[nodiscard]] virtual std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                            std::unique_ptr<ByteStream> connected,
                                                            Listener& listener) const = 0;

  // The same over TLS. gate: beneath it, if may_leave_tls(); else null.
  [[nodiscard]] virtual std::unique_ptr<ByteStream> reverse_secured(
      Loop& loop, std::unique_ptr<TlsStream> secured, RecordGate* gate, Listener& listener) const {
    static_cast<void>(gate);
    return reverse(loop, std::move(secured), listener);
  }

  // The same in a stream of an HTTP/2 connection that several channels share.
  [[nodiscard]] virtual std::unique_ptr<ByteStream> reverse_lent(
      Loop& loop, std::unique_ptr<TunnelStream> tunnel, Listener& listener) const;

  // The same with a gateway at another place; null if this profile cannot be sent elsewhere.
  [[nodiscard]] virtual std::unique_ptr<Profile> at(const HttpUri& place) const {
    static_cast<void>(place);
    return nullptr;
  }
};

// The worker sends the client magic and SETTINGS at once; the gateway sends no magic (protocols.md
// section 1).
[[nodiscard]] std::unique_ptr<Profile> make_haproxy_profile();
// Roles are swapped by arrangement; the gateway sends the magic, and we are silent until then
// (protocols.md section 0).
[[nodiscard]] std::unique_ptr<Profile> make_direct_profile();
// The same by ALPN (protocols.md section 5), with the ids of these revisions of the draft, the best
// first; empty: all, the newest first. kConfiguration: one of them is not known.
[[nodiscard]] Result<std::unique_ptr<Profile>> make_potato_profile(
    const std::vector<std::string>& revisions);

// Roles are swapped by ALPN, with certificates on both sides; we send SETTINGS and ORIGIN at once,
// the gateway the magic (protocols.md section 4). The origins are as RFC 6454 serializes them, or
// wildcards.
[[nodiscard]] std::unique_ptr<Profile> make_h2_reverse_profile(std::vector<std::string> origins);

// An HTTP/1.1 request asks for the upgrade (protocols.md sections 2 and 3). The defaults are what
// the draft says; credentials may be empty.
[[nodiscard]] HelloDefaults ptth_hello();
[[nodiscard]] std::unique_ptr<Profile> make_ptth_profile(HelloSpec hello,
                                                         HelloCredentials credentials);
[[nodiscard]] HelloDefaults reverse_hello();
[[nodiscard]] std::unique_ptr<Profile> make_reverse_profile(HelloSpec hello,
                                                            HelloCredentials credentials);

// The oldest of these (protocols.md section 7): the gateway may leave the request unanswered until
// it has one of its own, and speaks HTTP/1.1.
[[nodiscard]] HelloDefaults ptth_1_0_hello();
[[nodiscard]] std::unique_ptr<Profile> make_ptth_1_0_profile(HelloSpec hello,
                                                             HelloCredentials credentials);

// The first two by extended CONNECT over HTTP/2: the reversed channel lives in one stream.
[[nodiscard]] HelloDefaults ptth_connect_hello();
[[nodiscard]] HelloDefaults reverse_connect_hello();
[[nodiscard]] std::unique_ptr<Profile> make_connect_profile(std::string_view name, HelloSpec hello,
                                                            HelloCredentials credentials,
                                                            const TunnelOptions& options);

// Envoy's request, behind which it leaves TLS and keeps the connection for later (protocols.md
// section 6). With a token in the options it is an upgrade. check_envoy_options() was content.
[[nodiscard]] HelloDefaults envoy_hello(const HelloOptions& options);
[[nodiscard]] std::unique_ptr<Profile> make_envoy_profile(HelloSpec hello,
                                                          HelloCredentials credentials,
                                                          EnvoyOptions options);

}  // namespace ptth
