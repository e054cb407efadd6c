#include "agent/link/envoy_stream.h"

#include "agent/link/envoy_pings.h"
#include "agent/link/hello_exchange.h"
#include "agent/link/hello_stream.h"
#include "agent/link/magic_check.h"
#include "common/byte_queue.h"

#include <string>
#include <utility>

namespace ptth {

namespace {

constexpr int kPingsMissedMax = 3;
// What a gateway that does not read our echoes may leave with us.
constexpr size_t kUnsentBytesMax = size_t{64} * 1024;

// RFC 8446 section 5.1.
constexpr uint8_t kAlertRecord = 0x15;
constexpr uint8_t kDataRecord = 0x17;

// Steps:
//
//   kAsking -- yes, over TLS --> kFirstByte -- a TLS record --> kPings (in TLS as it was)
//      |                             |
//      |                             +-- any other --> kPings (raw)
//      +-- yes, without TLS --> kPings (raw)
//
//   kPings -- RPING, over and over, echoed --> kPings
//      |  |
//      |  +-- a TLS handshake, if raw --> kInnerTls --+
//      +-- P, if allowed -----------------------------+--> kMagic -- verified --> (reversed)
enum class Step { kAsking, kFirstByte, kPings, kInnerTls, kMagic };

// What protects what follows the hello.
enum class Cover { kNone, kLeftTls, kOuterTls };

class EnvoyStream final : public HelloStream,
                          private HelloExchange::Listener,
                          private TlsStream::HandshakeListener {
 public:
  EnvoyStream(Loop& loop, std::unique_ptr<ByteStream> connected, RecordGate* gate,
              const EnvoyHello& hello, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener),
        loop_(loop),
        hello_(hello),
        gate_(gate),
        raw_listener_(*this),
        pings_(hello.options.pings),
        exchange_(loop, hello.spec, hello.credentials, *this),
        silence_(loop, [this] { on_silence(); }) {}

 private:
  // The connection beneath TLS, while nobody knows whether the gateway has left TLS.
  class RawListener final : public ByteStream::Listener {
   public:
    explicit RawListener(EnvoyStream& stream) : stream_(stream) {}

    void on_bytes(Bytes bytes) override { stream_.on_first_bytes(bytes); }

    void on_end() override { stream_.not_reversed(closed_while_held()); }

    void on_failed(const Error& error) override { stream_.not_reversed(error); }

    void on_sent() override {}

   private:
    EnvoyStream& stream_;
  };

  static Error closed_while_held() {
    return {ErrorKind::kClosed, Side::kGateway, "the gateway closed the connection unused", true};
  }

  void on_hello_bytes(Bytes bytes) override;
  Error explain_end(const Error& error) override;

  // HelloExchange::Listener
  [[nodiscard]] bool wants_hello() const override { return in_hello(); }

  void send_hello(Bytes request) override { write(request); }

  void on_hello_patience() override { hello_progress(); }

  void on_hello_accepted(const std::string& channel, Bytes rest) override;

  void on_hello_refused(const Error& error) override { not_reversed(error); }

  void on_hello_redirected(const Redirect* redirect) override { redirected(redirect); }

  // TlsStream::HandshakeListener
  void on_secured() override;

  void on_handshake_failed(const Error& error) override { not_reversed(error); }

  void on_first_bytes(Bytes bytes);
  void on_pings(Bytes bytes);
  void echo(size_t pings);
  void on_magic_begun(Bytes bytes);
  void begin_inner_tls(Bytes bytes);
  void on_silence();
  void refuse(ErrorKind kind, std::string detail);

  void await_gateway() { silence_.start(hello_.options.ping_interval * kPingsMissedMax); }

  Loop& loop_;
  const EnvoyHello& hello_;
  RecordGate* gate_;  // Null without TLS, and once it is released.
  RawListener raw_listener_;
  Step step_ = Step::kAsking;
  Cover cover_ = Cover::kNone;
  EnvoyPings pings_;
  HelloExchange exchange_;
  std::shared_ptr<TlsContext> inner_context_;
  Timer silence_;
};

void EnvoyStream::on_hello_bytes(Bytes bytes) {
  switch (step_) {
    case Step::kAsking:
      exchange_.read(bytes);
      return;
    case Step::kPings:
      on_pings(bytes);
      return;
    case Step::kMagic:
      read_magic(bytes);
      return;
    case Step::kFirstByte:
    case Step::kInnerTls:
      // Nobody reads for us there.
      CHECK_INVARIANT(false);
  }
}

Error EnvoyStream::explain_end(const Error& error) {
  if (step_ == Step::kAsking) return exchange_.explain_end(error);
  const bool is_unused = step_ == Step::kPings && error.kind == ErrorKind::kClosed;
  return is_unused ? closed_while_held() : error;
}

void EnvoyStream::on_hello_accepted(const std::string& channel, Bytes rest) {
  if (channel != "h2") {
    refuse(ErrorKind::kConfiguration, "an Envoy speaks h2 behind its hello, and nothing else");
    return;
  }
  await_gateway();
  // What shares its record with the answer was written inside TLS.
  if (gate_ != nullptr && rest.empty()) {
    step_ = Step::kFirstByte;
    gate_->divert(raw_listener_);
    held(ChannelProtocol::kHttp2);
    return;
  }
  step_ = Step::kPings;
  cover_ = gate_ == nullptr ? Cover::kNone : Cover::kOuterTls;
  held(ChannelProtocol::kHttp2);
  if (!rest.empty()) on_pings(rest);
}

void EnvoyStream::on_first_bytes(Bytes bytes) {
  if (!in_hello()) return;
  step_ = Step::kPings;
  if (bytes.front() == kDataRecord || bytes.front() == kAlertRecord) {
    cover_ = Cover::kOuterTls;
    gate_->give_back(bytes);
    return;
  }
  cover_ = Cover::kLeftTls;
  std::unique_ptr<ByteStream> raw = std::exchange(gate_, nullptr)->release();
  loop_.retire(take_beneath());
  set_beneath(std::move(raw));
  on_pings(bytes);
}

void EnvoyStream::on_pings(Bytes bytes) {
  size_t whole = 0;
  const EnvoyPings::Next next = pings_.take(bytes, loop_.now_ms(), whole);
  if (whole > 0) echo(whole);
  switch (next) {
    case EnvoyPings::Next::kNeedMore:
      if (beneath().unsent_bytes() > kUnsentBytesMax) {
        refuse(ErrorKind::kProtocol, "the gateway sends keepalives and does not read our echoes");
      }
      return;
    case EnvoyPings::Next::kMagic:
      on_magic_begun(bytes);
      return;
    case EnvoyPings::Next::kTls:
      begin_inner_tls(bytes);
      return;
    case EnvoyPings::Next::kOther:
      refuse(ErrorKind::kProtocol,
             "behind the hello the gateway sent neither RPING nor HTTP/2 nor "
             "TLS, but " +
                 what_came_instead(bytes));
      return;
    case EnvoyPings::Next::kTooMany:
      refuse(ErrorKind::kProtocol, "the gateway sends keepalives without end");
      return;
  }
}

void EnvoyStream::echo(size_t pings) {
  ByteQueue echoes;
  for (size_t ping = 0; ping < pings; ++ping) {
    echoes.append(
        {reinterpret_cast<const uint8_t*>(EnvoyPings::kPing.data()), EnvoyPings::kPing.size()});
  }
  write(echoes.front());
  await_gateway();
}

void EnvoyStream::on_magic_begun(Bytes bytes) {
  if (cover_ == Cover::kLeftTls && !hello_.options.insecure_handover) {
    refuse(ErrorKind::kConfiguration,
           "behind the hello the gateway left TLS and goes on in cleartext, which anyone on the "
           "way can read and change: let it use TLS there (and give --envoy-cert-file), or allow "
           "that with --insecure-envoy-handover");
    return;
  }
  step_ = Step::kMagic;
  await_gateway();
  read_magic(bytes);
}

void EnvoyStream::begin_inner_tls(Bytes bytes) {
  if (cover_ == Cover::kOuterTls) {
    refuse(ErrorKind::kProtocol, "the gateway begins TLS inside TLS");
    return;
  }
  const TlsOptions options = hello_.options.inner_tls();
  if (options.cert_file.empty()) {
    refuse(ErrorKind::kConfiguration,
           "behind the hello the gateway begins TLS in which we are the server: give "
           "--envoy-cert-file");
    return;
  }
  auto context = hello_.inner_contexts->for_server(options);
  if (!context) {
    not_reversed(context.error());
    return;
  }
  inner_context_ = std::move(context).value();
  step_ = Step::kInnerTls;
  await_gateway();
  auto gate = std::make_unique<RecordGate>(loop_, take_beneath());
  gate->give_back(bytes);
  TlsStream::Parameters tls;
  tls.alpn = {"h2"};
  tls.require_alpn = false;
  set_beneath(TlsStream::accept(loop_, *inner_context_, std::move(gate), std::move(tls), *this));
}

void EnvoyStream::on_secured() {
  if (in_hello()) step_ = Step::kMagic;
}

void EnvoyStream::on_silence() {
  if (!in_hello()) return;
  const bool is_idle = step_ == Step::kFirstByte || step_ == Step::kPings;
  not_reversed({ErrorKind::kTimeout, Side::kGateway,
                is_idle ? "the gateway sent no keepalive (RPING) for three intervals"
                        : "the gateway did not begin HTTP/2 in time",
                true});
}

void EnvoyStream::refuse(ErrorKind kind, std::string detail) {
  not_reversed({kind, Side::kGateway, std::move(detail), false});
}

}  // namespace

std::unique_ptr<ByteStream> make_envoy_stream(Loop& loop, std::unique_ptr<ByteStream> connected,
                                              RecordGate* gate, const EnvoyHello& hello,
                                              Profile::Listener& listener) {
  return std::make_unique<EnvoyStream>(loop, std::move(connected), gate, hello, listener);
}

}  // namespace ptth
