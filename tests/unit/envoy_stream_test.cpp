#include "agent/link/envoy_stream.h"

#include "tests/support/hello_transcript.h"
#include "tests/support/pipe_stream.h"
#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"
#include "tests/support/tls_pair.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

using ptth::ByteStream;
using ptth::ClockMode;
using ptth::EnvoyHello;
using ptth::EnvoyOptions;
using ptth::Error;
using ptth::ErrorKind;
using ptth::HelloOptions;
using ptth::Loop;
using ptth::make_envoy_stream;
using ptth::Milliseconds;
using ptth::Profile;
using ptth::RecordGate;
using ptth::test::as_bytes;
using ptth::test::hello_spec;
using ptth::test::make_pipe;
using ptth::test::make_scripted_stream;
using ptth::test::PipeOptions;
using ptth::test::PipePair;
using ptth::test::RecordingListener;
using ptth::test::TestCertificates;
using ptth::test::TlsEnd;
using ptth::test::TlsSetup;
using ptth::test::Wire;

namespace {

const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kYes = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

const TestCertificates& certificates() {
  static const TestCertificates made;
  return made;
}

struct Fixture : Profile::Listener {
  Fixture() { hello.spec = hello_spec({}, ptth::envoy_hello({})); }

  virtual ~Fixture() {
    stream.reset();
    loop.turn();
  }

  void on_reversed(ptth::ChannelProtocol /*channel*/) override {
    CHECK(holds == 1);
    ++reversals;
    stream->set_listener(&session);
  }

  void on_not_reversed(const Error& error) override {
    CHECK_FALSE(refusal.has_value());
    refusal = error;
  }

  void on_held(ptth::ChannelProtocol /*channel*/) override { ++holds; }

  Loop loop{ClockMode::kManual};
  EnvoyHello hello;
  RecordingListener session;
  std::unique_ptr<ByteStream> stream;
  int holds = 0;
  int reversals = 0;
  std::optional<Error> refusal;
};

// Without TLS.
struct Cleartext : Fixture {
  void begin() {
    stream = make_envoy_stream(loop, make_scripted_stream(wire), nullptr, hello, *this);
    loop.turn();
    hello_sent = std::exchange(wire.written, "");
  }

  Wire wire;
  std::string hello_sent;
};

// A gateway over TLS in memory, which can leave it.
struct OverTls : Fixture, ptth::TlsStream::HandshakeListener {
  explicit OverTls(const PipeOptions& pipe_options = {})
      : setup(certificates()), pipe(make_pipe(loop, pipe_options, pipe_options)) {
    setup.client_parameters.alpn.clear();
    setup.server_parameters.alpn.clear();
    auto ours = std::make_unique<RecordGate>(loop, std::move(pipe.a));
    gate = ours.get();
    context = ptth::TlsContext::for_client(setup.client).value();
    tls = ptth::TlsStream::connect(loop, *context, std::move(ours), setup.client_parameters, *this);
    auto theirs = std::make_unique<RecordGate>(loop, std::move(pipe.b));
    gateway_gate = theirs.get();
    gateway = std::make_unique<TlsEnd>(loop, TlsEnd::Role::kServer, setup.server,
                                       setup.server_parameters, std::move(theirs));
  }

  ~OverTls() override {
    stream.reset();
    gateway.reset();
    tls.reset();
    loop.turn();
  }

  void on_secured() override {
    stream = make_envoy_stream(loop, std::move(tls), gate, hello, *this);
  }

  void on_handshake_failed(const Error& error) override { FAIL(error.detail); }

  void settle() {
    for (int turn = 0; turn < 2'000; ++turn)
      loop.turn();
  }

  // The gateway accepts the hello.
  void accept(const std::string& answer = kYes) {
    settle();
    REQUIRE(gateway->heard.received.ends_with("\r\n\r\n"));
    gateway->heard.received.clear();
    gateway->stream().write(as_bytes(answer));
    settle();
  }

  // What is left of the connection once TLS is, on the gateway's side.
  ByteStream& leave_tls() {
    raw = gateway_gate->release();
    raw->set_listener(&raw_heard);
    return *raw;
  }

  TlsSetup setup;
  PipePair pipe;
  std::unique_ptr<ptth::TlsContext> context;
  std::unique_ptr<ptth::TlsStream> tls;
  RecordGate* gate = nullptr;
  RecordGate* gateway_gate = nullptr;
  std::unique_ptr<TlsEnd> gateway;
  std::unique_ptr<ByteStream> raw;
  RecordingListener raw_heard;
};

struct OverTlsByteByByte : OverTls {
  OverTlsByteByByte() : OverTls({.chunk_bytes_max = 1}) {}
};

}  // namespace

TEST_CASE_FIXTURE(Cleartext, "envoy: a request, then silence; pings are echoed, the magic begins") {
  begin();
  CHECK(hello_sent ==
        "GET /reverse_connections/request HTTP/1.1\r\nhost: gw.example\r\ncontent-length: 0"
        "\r\n\r\n");
  wire.say(kYes + "RPINGRP");
  CHECK(holds == 1);
  CHECK(wire.written == "RPING");
  wire.say("ING");
  CHECK(wire.written == "RPINGRPING");
  CHECK(reversals == 0);
  wire.say("RPING" + kMagic + "frames");
  CHECK(reversals == 1);
  loop.turn();
  CHECK(session.received == "frames");
  CHECK(wire.written == "RPINGRPINGRPING");
}

TEST_CASE_FIXTURE(Cleartext, "envoy: three intervals without a ping are the end") {
  begin();
  wire.say(kYes);
  loop.advance(Milliseconds(5'999));
  CHECK_FALSE(refusal.has_value());
  wire.say("RPING");
  // Part of one is none.
  loop.advance(Milliseconds(3'000));
  wire.say("RPIN");
  loop.advance(Milliseconds(2'999));
  CHECK_FALSE(refusal.has_value());
  loop.advance(Milliseconds(1));
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kTimeout);
  CHECK(refusal->retryable);
}

TEST_CASE_FIXTURE(Cleartext, "envoy: the magic must come in time, once it has begun") {
  begin();
  wire.say(kYes + "PRI");
  loop.advance(Milliseconds(6'000));
  REQUIRE(refusal.has_value());
  CHECK(refusal->detail.find("HTTP/2 in time") != std::string::npos);
}

TEST_CASE_FIXTURE(Cleartext, "envoy: an end while it keeps the connection is no fault") {
  begin();
  wire.say(kYes + "RPING");
  wire.end();
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kClosed);
  CHECK(refusal->retryable);
}

TEST_CASE_FIXTURE(Cleartext, "envoy: a hello that is refused is never held") {
  begin();
  wire.say("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kRefused);
  CHECK(holds == 0);
}

TEST_CASE_FIXTURE(Cleartext, "envoy: a session that is let go of while it is held is silent") {
  begin();
  wire.say(kYes);
  stream->set_listener(nullptr);
  loop.advance(Milliseconds(60'000));
  CHECK_FALSE(refusal.has_value());
  CHECK(wire.listener == nullptr);
}

TEST_CASE_FIXTURE(OverTlsByteByByte, "envoy: TLS is left at the record of the answer") {
  accept();
  CHECK(holds == 1);
  ByteStream& left = leave_tls();
  left.write(as_bytes("RPINGRPING"));
  settle();
  // Not one byte of TLS: no close_notify, no alert.
  CHECK(raw_heard.received == "RPINGRPING");
  left.write(as_bytes(kMagic));
  settle();
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kConfiguration);
  CHECK(refusal->detail.find("--insecure-envoy-handover") != std::string::npos);
}

TEST_CASE_FIXTURE(OverTlsByteByByte, "envoy: cleartext behind TLS, where it is allowed") {
  hello.options.insecure_handover = true;
  accept();
  leave_tls().write(as_bytes("RPING" + kMagic + "frames"));
  settle();
  CHECK(reversals == 1);
  CHECK(session.received == "frames");
  stream->write(as_bytes("SETTINGS"));
  settle();
  CHECK(raw_heard.received == "RPINGSETTINGS");
}

TEST_CASE_FIXTURE(OverTls, "envoy: what is in the record of the answer was written in TLS") {
  accept(kYes + "RPING");
  CHECK(gateway->heard.received == "RPING");
  gateway->stream().write(as_bytes(kMagic));
  settle();
  CHECK(reversals == 1);
}

TEST_CASE_FIXTURE(OverTlsByteByByte, "envoy: a gateway that keeps TLS goes on inside it") {
  accept();
  gateway->stream().write(as_bytes("RPING"));
  settle();
  CHECK(gateway->heard.received == "RPING");
  gateway->stream().write(as_bytes(kMagic + "frames"));
  settle();
  CHECK(session.received == "frames");
  stream->write(as_bytes("SETTINGS"));
  settle();
  CHECK(gateway->heard.received == "RPINGSETTINGS");
}

TEST_CASE_FIXTURE(OverTls, "envoy: a gateway that closes TLS instead is gone, without a fault") {
  accept();
  gateway->stream().shutdown();
  settle();
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kClosed);
}

TEST_CASE_FIXTURE(OverTlsByteByByte, "envoy: TLS of its own, in which we are the server") {
  hello.options.cert_file = certificates().worker().cert_file;
  hello.options.key_file = certificates().worker().key_file;
  hello.options.ca_file = certificates().ca_file();
  accept();
  leave_tls().write(as_bytes("RPING"));
  settle();
  CHECK(raw_heard.received == "RPING");
  TlsSetup inner(certificates());
  inner.client.cert_file = certificates().gateway().cert_file;
  inner.client.key_file = certificates().gateway().key_file;
  inner.client.ca_file = certificates().ca_file();
  inner.client_parameters.server_name = "worker-1";
  TlsEnd client(loop, TlsEnd::Role::kClient, inner.client, inner.client_parameters, std::move(raw));
  settle();
  // The worker's certificate carries no name; it was shown all the same.
  REQUIRE(client.handshake_failure.has_value());
  CHECK(client.handshake_failure->detail.find("worker-1") != std::string::npos);
  settle();
  REQUIRE(refusal.has_value());
  CHECK(reversals == 0);
}

TEST_CASE_FIXTURE(OverTlsByteByByte, "envoy: HTTP/2 begins in the TLS of its own") {
  hello.options.cert_file = certificates().gateway().cert_file;
  hello.options.key_file = certificates().gateway().key_file;
  hello.options.ca_file = certificates().ca_file();
  accept();
  leave_tls();
  TlsSetup inner(certificates());
  TlsEnd client(loop, TlsEnd::Role::kClient, inner.client, inner.client_parameters, std::move(raw));
  client.says_when_secured = kMagic + "frames";
  settle();
  REQUIRE(client.secured);
  CHECK(client.stream().alpn() == "h2");
  CHECK(reversals == 1);
  CHECK(session.received == "frames");
  stream->write(as_bytes("SETTINGS"));
  settle();
  CHECK(client.heard.received == "SETTINGS");
}

TEST_CASE("envoy: options that cannot work are refused before anything is sent") {
  EnvoyOptions good;
  good.node_id = "n";
  good.cluster_id = "c";
  CHECK(ptth::check_envoy_options(good).ok());
  const auto complaint = [&](auto change) {
    EnvoyOptions options = good;
    change(options);
    const auto checked = ptth::check_envoy_options(options);
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().kind == ErrorKind::kConfiguration);
    return checked.error().detail;
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(has(complaint([](auto& options) { options.node_id = ""; }), "--envoy-node-id"));
  CHECK(has(complaint([](auto& options) { options.cluster_id = ""; }), "--envoy-cluster-id"));
  CHECK(has(complaint([](auto& options) { options.cluster_id = "n"; }), "the same"));
  CHECK(has(complaint([](auto& options) { options.key_file = "k"; }), "--envoy-cert-file"));
  CHECK(has(complaint([](auto& options) { options.cert_file = "c"; }), "--envoy-ca-file"));
  CHECK(has(complaint([](auto& options) {
              options.tenant_id = "t";
              options.cluster_id = "a:b";
            }),
            "colons"));
}
