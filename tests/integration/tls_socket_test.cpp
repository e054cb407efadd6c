#include "common/tls_stream.h"
#include "tests/support/pattern_sequence.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"
#include "tests/support/tls_pair.h"

#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

using ptth::ErrorKind;
using ptth::Loop;
using ptth::TlsVersion;
using ptth::test::Pattern;
using ptth::test::run_until;
using ptth::test::Sequence;
using ptth::test::SocketPair;
using ptth::test::tcp_pair;
using ptth::test::TestCertificates;
using ptth::test::TlsEnd;
using ptth::test::TlsSetup;

TEST_CASE("50 MiB each way arrive unchanged through TLS over TCP, with pauses") {
  constexpr size_t kBytes = size_t{50} * 1024 * 1024;
  const TestCertificates certificates;
  TlsSetup setup(certificates);
  SUBCASE("TLS 1.3") {}
  SUBCASE("TLS 1.2") {
    setup.client.min_version = TlsVersion::kTls12;
    setup.server.min_version = TlsVersion::kTls12;
  }
  Loop loop;
  SocketPair sockets = tcp_pair(loop);
  TlsEnd client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
                std::move(sockets.connected));
  TlsEnd server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
                std::move(sockets.accepted));
  REQUIRE(run_until(loop, [&] { return client.secured && server.secured; }));
  Sequence from_client(client.stream(), kBytes);
  Sequence from_server(server.stream(), kBytes);
  REQUIRE(run_until(
      loop,
      [&] {
        from_client.resume();
        from_server.resume();
        return from_client.ended && from_server.ended;
      },
      ptth::Milliseconds(60'000)));
  for (const Sequence* end : {&from_client, &from_server}) {
    CHECK_FALSE(end->failure.has_value());
    CHECK(end->received == kBytes);
    CHECK(end->wrong == 0);
    CHECK(end->unsent_max < Sequence::kUnsentMax + Pattern::kPeriod + 10'000);
  }
}

TEST_CASE("a refused client certificate is heard before the connection is reset") {
  const TestCertificates certificates;
  TlsSetup setup(certificates);
  setup.client.cert_file = certificates.worker_of_other_ca().cert_file;
  setup.client.key_file = certificates.worker_of_other_ca().key_file;
  Loop loop;
  SocketPair sockets = tcp_pair(loop);
  TlsEnd client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
                std::move(sockets.connected));
  TlsEnd server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
                std::move(sockets.accepted));
  // The client does not wait with its bytes; the server leaves without reading them.
  client.says_when_secured = std::string(100'000, 'x');
  REQUIRE(run_until(loop, [&] { return server.handshake_failure.has_value(); }));
  server.take_stream().reset();
  REQUIRE(run_until(loop, [&] { return client.failure().has_value(); }));
  CHECK(client.failure()->kind == ErrorKind::kRefused);
}
