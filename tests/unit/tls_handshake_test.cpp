#include "common/tls_stream.h"
#include "tests/support/pipe_stream.h"
#include "tests/support/run_until.h"
#include "tests/support/tls_pair.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::PeerCertificate;
using ptth::Side;
using ptth::TlsContext;
using ptth::TlsOptions;
using ptth::TlsVersion;
using ptth::test::as_bytes;
using ptth::test::Delivery;
using ptth::test::IdentityFiles;
using ptth::test::make_pipe;
using ptth::test::PipeOptions;
using ptth::test::PipePair;
using ptth::test::TestCertificates;
using ptth::test::TlsEnd;
using ptth::test::TlsSetup;
using ptth::test::turn_until;

namespace {

const TestCertificates& certificates() {
  static const TestCertificates made;
  return made;
}

// Both ends over one pipe.
struct Handshake {
  explicit Handshake(const TlsSetup& setup, const PipeOptions& options = {})
      : pipe(make_pipe(loop, options, options)),
        client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
               std::move(pipe.a)),
        server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
               std::move(pipe.b)) {}

  void settle() {
    for (int turn = 0; turn < 10; ++turn)
      loop.turn();
  }

  Loop loop{ClockMode::kManual};
  PipePair pipe;
  TlsEnd client;
  TlsEnd server;
};

void use(TlsOptions& options, const IdentityFiles& identity) {
  options.cert_file = identity.cert_file;
  options.key_file = identity.key_file;
}

// The client's reason not to accept this server.
Error client_failure(const TlsSetup& setup) {
  Handshake handshake(setup);
  handshake.settle();
  CHECK_FALSE(handshake.client.secured);
  REQUIRE(handshake.client.handshake_failure.has_value());
  CHECK_FALSE(handshake.server.heard.failure.has_value());
  return *handshake.client.handshake_failure;
}

}  // namespace

TEST_CASE("both sides are verified and agree on TLS 1.3 and the ALPN id") {
  TlsSetup setup(certificates());
  setup.client_parameters.alpn = {"ptth/9", "h2", "http/1.1"};
  setup.server_parameters.alpn = {"http/1.1", "h2"};
  Handshake handshake(setup);
  CHECK_FALSE(handshake.client.secured);
  handshake.settle();
  REQUIRE(handshake.client.secured);
  REQUIRE(handshake.server.secured);
  CHECK(handshake.client.stream().alpn() == "http/1.1");
  CHECK(handshake.server.stream().alpn() == "http/1.1");
  CHECK(handshake.client.stream().tls_version() == "TLSv1.3");
  CHECK(handshake.client.stream().peer_common_name() == "gw.test");
  CHECK(handshake.server.stream().peer_common_name() == "worker-1");
  handshake.client.stream().write(as_bytes("ping"));
  handshake.server.stream().write(as_bytes("pong"));
  handshake.settle();
  CHECK(handshake.client.heard.received == "pong");
  CHECK(handshake.server.heard.received == "ping");
}

TEST_CASE("addresses, names in other spellings and no ALPN are verified as well") {
  TlsSetup setup(certificates());
  setup.client_parameters.alpn.clear();
  setup.server_parameters.alpn.clear();
  for (const char* name : {"127.0.0.1", "::1", "[::1]", "localhost", "GW.TEST", "gw.test."}) {
    CAPTURE(name);
    setup.client_parameters.server_name = name;
    Handshake handshake(setup);
    handshake.settle();
    CHECK(handshake.client.secured);
    CHECK(handshake.server.secured);
    CHECK(handshake.client.stream().alpn().empty());
  }
}

TEST_CASE("a certificate for other names is refused with the names that it carries") {
  TlsSetup setup(certificates());
  SUBCASE("a name") {
    use(setup.server, certificates().wrong_name());
    const Error error = client_failure(setup);
    CHECK(error.kind == ErrorKind::kCertificate);
    CHECK(error.side == Side::kGateway);
    CHECK(error.detail == "gw.test: its certificate is for other.test, 192.0.2.1, not for gw.test");
  }
  SUBCASE("an address") {
    setup.client_parameters.server_name = "127.0.0.2";
    CHECK(client_failure(setup).detail ==
          "127.0.0.2: its certificate is for gw.test, localhost, 127.0.0.1, ::1, "
          "not for 127.0.0.2");
  }
  SUBCASE("only a common name") {
    use(setup.server, certificates().worker());
    setup.client_parameters.server_name = "worker-1";
    CHECK(client_failure(setup).detail ==
          "worker-1: its certificate carries no DNS name or address (subjectAltName), so it is not "
          "for worker-1");
  }
}

TEST_CASE("a wildcard stands for one whole label") {
  TestCertificates own;
  TlsSetup setup(own);
  const auto accepts = [&](const std::string& pattern, const std::string& name) {
    use(setup.server, own.issue({"wildcard", {pattern}}));
    setup.client_parameters.server_name = name;
    Handshake handshake(setup);
    handshake.settle();
    return handshake.client.secured;
  };
  CHECK(accepts("*.example.test", "gw.example.test"));
  CHECK_FALSE(accepts("*.example.test", "a.gw.example.test"));
  CHECK_FALSE(accepts("*.example.test", "example.test"));
  CHECK_FALSE(accepts("g*.example.test", "gw.example.test"));
}

TEST_CASE("an own certificate that is expired or not valid yet is an error with file and date") {
  TlsSetup setup(certificates());
  const auto error_of = [&](const IdentityFiles& identity) {
    use(setup.server, identity);
    const auto context = TlsContext::for_server(setup.server);
    REQUIRE_FALSE(context.ok());
    CHECK(context.error().kind == ErrorKind::kConfiguration);
    return context.error().detail;
  };
  const IdentityFiles expired = certificates().expired();
  CHECK(error_of(expired).find("cert_file " + expired.cert_file +
                               ": the certificate expired on 20") == 0);
  CHECK(error_of(expired).find("; by the clock of this machine it is 20") != std::string::npos);
  const IdentityFiles early = certificates().not_yet_valid();
  CHECK(error_of(early).find("cert_file " + early.cert_file +
                             ": the certificate is not valid before 20") == 0);
  CHECK(error_of(early).ends_with("UTC: is it right?"));
}

TEST_CASE("a certificate of an unknown CA is refused with the name of that CA") {
  TlsSetup setup(certificates());
  use(setup.server, certificates().gateway_of_other_ca());
  const Error error = client_failure(setup);
  CHECK(error.kind == ErrorKind::kCertificate);
  CHECK(error.detail == "gw.test: its certificate was issued by an unknown CA, \"another CA\"");
}

TEST_CASE("a CA file may hold the very certificate that the server shows") {
  TlsSetup setup(certificates());
  setup.client.ca_file = certificates().gateway().cert_file;
  Handshake handshake(setup);
  handshake.settle();
  CHECK(handshake.client.secured);
}

TEST_CASE("a server that does not ask who we are is refused where that is needed") {
  TlsSetup setup(certificates());
  setup.client_parameters.require_certificate_request = true;
  for (const PeerCertificate asks : {PeerCertificate::kOptional, PeerCertificate::kRequired}) {
    setup.server.peer_certificate = asks;
    Handshake handshake(setup);
    handshake.settle();
    CHECK(handshake.client.secured);
  }
  setup.server.peer_certificate = PeerCertificate::kNone;
  const Error error = client_failure(setup);
  CHECK(error.kind == ErrorKind::kProtocol);
  CHECK(error.detail ==
        "gw.test: it did not ask for our certificate, so it cannot know who we are");
}

TEST_CASE("a refused client certificate is heard as the refusal that it is") {
  TlsSetup setup(certificates());
  SUBCASE("of another CA, TLS 1.3: after the handshake, at the first read") {
    use(setup.client, certificates().worker_of_other_ca());
    Handshake handshake(setup);
    handshake.settle();
    CHECK(handshake.client.secured);
    REQUIRE(handshake.client.heard.failure.has_value());
    CHECK(handshake.client.heard.failure->kind == ErrorKind::kRefused);
    CHECK(handshake.client.heard.failure->detail ==
          "gw.test: it does not accept our certificate, " + setup.client.cert_file +
              ": it does not know the CA that issued it, or the chain is not whole (unknown CA)");
    REQUIRE(handshake.server.handshake_failure.has_value());
    CHECK(handshake.server.handshake_failure->kind == ErrorKind::kCertificate);
    CHECK(handshake.server.handshake_failure->detail ==
          "its certificate was issued by an unknown CA, \"another CA\"");
  }
  SUBCASE("none, TLS 1.3") {
    use(setup.client, {});
    Handshake handshake(setup);
    handshake.settle();
    REQUIRE(handshake.client.heard.failure.has_value());
    CHECK(handshake.client.heard.failure->kind == ErrorKind::kRefused);
    CHECK(handshake.client.heard.failure->detail ==
          "gw.test: it asks for a client certificate, and none is configured");
    REQUIRE(handshake.server.handshake_failure.has_value());
    CHECK(handshake.server.handshake_failure->kind == ErrorKind::kCertificate);
    CHECK(handshake.server.handshake_failure->detail ==
          "it sent no certificate, and one is required");
  }
  SUBCASE("of another CA and none, TLS 1.2: in the handshake") {
    setup.client.min_version = TlsVersion::kTls12;
    setup.server.min_version = TlsVersion::kTls12;
    for (const bool none : {false, true}) {
      CAPTURE(none);
      use(setup.client, none ? IdentityFiles{} : certificates().worker_of_other_ca());
      Handshake handshake(setup);
      handshake.settle();
      REQUIRE(handshake.client.failure().has_value());
      CHECK(handshake.client.failure()->kind == ErrorKind::kRefused);
    }
  }
}

TEST_CASE("a server that requires no client certificate accepts a client without one") {
  TlsSetup setup(certificates());
  use(setup.client, {});
  setup.server.peer_certificate = PeerCertificate::kNone;
  setup.server.ca_file.clear();
  Handshake handshake(setup);
  handshake.settle();
  CHECK(handshake.client.secured);
  REQUIRE(handshake.server.secured);
  CHECK(handshake.server.stream().peer_common_name().empty());
}

TEST_CASE("an optional client certificate is verified if it comes") {
  TlsSetup setup(certificates());
  setup.server.peer_certificate = PeerCertificate::kOptional;
  SUBCASE("none") {
    use(setup.client, {});
    Handshake handshake(setup);
    handshake.settle();
    REQUIRE(handshake.server.secured);
    CHECK(handshake.server.stream().peer_common_name().empty());
  }
  SUBCASE("right") {
    Handshake handshake(setup);
    handshake.settle();
    REQUIRE(handshake.server.secured);
    CHECK(handshake.server.stream().peer_common_name() == "worker-1");
  }
  SUBCASE("of another CA") {
    use(setup.client, certificates().worker_of_other_ca());
    Handshake handshake(setup);
    handshake.settle();
    CHECK_FALSE(handshake.server.secured);
  }
}

TEST_CASE("without a common ALPN id the handshake fails on both sides, unless none is required") {
  TlsSetup setup(certificates());
  setup.client_parameters.alpn = {"h2", std::string("\x01", 1)};
  setup.server_parameters.alpn = {"http/1.1"};
  SUBCASE("required by both") {
    Handshake handshake(setup);
    handshake.settle();
    REQUIRE(handshake.client.handshake_failure.has_value());
    CHECK(handshake.client.handshake_failure->kind == ErrorKind::kProtocol);
    CHECK(handshake.client.handshake_failure->detail ==
          "gw.test: it accepts none of the application protocols (ALPN) that were offered: h2, "
          "\\x01");
    REQUIRE(handshake.server.handshake_failure.has_value());
    CHECK(handshake.server.handshake_failure->detail ==
          "none of the application protocols (ALPN) that it offers is known here: it offers h2, "
          "\\x01; known are http/1.1");
  }
  SUBCASE("the client offers none, the server requires one") {
    setup.client_parameters.alpn.clear();
    Handshake handshake(setup);
    handshake.settle();
    REQUIRE(handshake.server.handshake_failure.has_value());
    CHECK(handshake.server.handshake_failure->detail ==
          "it offers no application protocol (ALPN); known here are http/1.1");
  }
  SUBCASE("the server agrees on none, the client requires one") {
    setup.server_parameters.alpn.clear();
    const Error error = client_failure(setup);
    CHECK(error.kind == ErrorKind::kProtocol);
    CHECK(error.detail == "gw.test: it did not agree on an application protocol (ALPN): h2, \\x01");
  }
  SUBCASE("required by neither") {
    setup.client_parameters.require_alpn = false;
    setup.server_parameters.require_alpn = false;
    Handshake handshake(setup);
    handshake.settle();
    CHECK(handshake.client.secured);
    CHECK(handshake.client.stream().alpn().empty());
  }
}

TEST_CASE("a handshake needs a name to verify and ALPN ids that can be sent") {
  TlsSetup setup(certificates());
  SUBCASE("no name") {
    setup.client_parameters.server_name = "";
  }
  SUBCASE("empty id") {
    setup.client_parameters.alpn = {"h2", ""};
  }
  SUBCASE("long id") {
    setup.client_parameters.alpn = {std::string(256, 'x')};
  }
  CHECK(client_failure(setup).kind == ErrorKind::kConfiguration);
}

TEST_CASE("a gateway that speaks plain text is told from one that speaks TLS") {
  TlsSetup setup(certificates());
  Loop loop(ClockMode::kManual);
  PipePair pipe = make_pipe(loop);
  TlsEnd client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
                std::move(pipe.a));
  pipe.b->write(as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
  loop.turn();
  REQUIRE(client.handshake_failure.has_value());
  CHECK(client.handshake_failure->kind == ErrorKind::kProtocol);
  CHECK(client.handshake_failure->detail.find("gw.test: it does not speak TLS") == 0);
  CHECK(client.handshake_failure->retryable);
}

TEST_CASE("a handshake survives deliveries of single bytes, each in a turn of its own") {
  TlsSetup setup(certificates());
  PipeOptions options;
  options.chunk_bytes_max = 1;
  options.capacity = 7;
  options.delivery = Delivery::kNextTurn;
  Handshake handshake(setup, options);
  REQUIRE(turn_until(handshake.loop,
                     [&] { return handshake.client.secured && handshake.server.secured; }));
  handshake.client.stream().write(as_bytes("byte by byte"));
  handshake.client.stream().shutdown();
  REQUIRE(turn_until(handshake.loop, [&] { return handshake.server.heard.ends == 1; }));
  CHECK(handshake.server.heard.received == "byte by byte");
}

TEST_CASE("a connection that ends or breaks in the handshake says so") {
  TlsSetup setup(certificates());
  for (const size_t bytes : {size_t{0}, size_t{5}, size_t{700}}) {
    CAPTURE(bytes);
    PipeOptions broken;
    broken.cut_after = bytes;
    Loop loop(ClockMode::kManual);
    PipePair pipe = make_pipe(loop, {}, broken);
    TlsEnd client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
                  std::move(pipe.a));
    TlsEnd server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
                  std::move(pipe.b));
    loop.turn();
    REQUIRE(client.failure().has_value());
    CHECK(client.failure()->kind == ErrorKind::kClosed);
  }
  Handshake handshake(setup);
  handshake.server.take_stream().reset();
  handshake.settle();
  REQUIRE(handshake.client.handshake_failure.has_value());
  CHECK(handshake.client.handshake_failure->kind == ErrorKind::kClosed);
  CHECK(handshake.client.handshake_failure->detail ==
        "gw.test: it closed the connection in the TLS handshake");
}

TEST_CASE("a stream that is destroyed in the middle of its handshake is silent") {
  TlsSetup setup(certificates());
  PipeOptions slow;
  slow.chunk_bytes_max = 200;
  slow.delivery = Delivery::kNextTurn;
  for (int turns = 0; turns < 24; turns += 2) {
    CAPTURE(turns);
    Handshake handshake(setup, slow);
    for (int turn = 0; turn < turns; ++turn)
      handshake.loop.turn();
    const bool secured = handshake.client.secured;
    handshake.client.take_stream().reset();
    for (int turn = 0; turn < 60; ++turn)
      handshake.loop.turn();
    CHECK(handshake.client.secured == secured);
    CHECK_FALSE(handshake.client.failure().has_value());
    CHECK((handshake.server.handshake_failure.has_value() || handshake.server.heard.ends == 1));
  }
}
