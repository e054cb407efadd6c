// What operators bring beyond a CA and a certificate: pins, lists of revoked certificates, PKCS
// #12, key exchange groups.

#include "common/spki_pin.h"
#include "common/tls_stream.h"
#include "tests/support/pipe_stream.h"
#include "tests/support/tls_pair.h"

#include <fstream>
#include <string>
#include <utility>

#include <doctest/doctest.h>

using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::parse_spki_pin;
using ptth::TlsContext;
using ptth::TlsOptions;
using ptth::test::make_pipe;
using ptth::test::PipePair;
using ptth::test::TestCertificates;
using ptth::test::TlsEnd;
using ptth::test::TlsSetup;

namespace {

const TestCertificates& certificates() {
  static const TestCertificates made;
  return made;
}

struct Handshake {
  explicit Handshake(const TlsSetup& setup)
      : pipe(make_pipe(loop)),
        client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
               std::move(pipe.a)),
        server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
               std::move(pipe.b)) {
    for (int turn = 0; turn < 10; ++turn)
      loop.turn();
  }

  Loop loop{ClockMode::kManual};
  PipePair pipe;
  TlsEnd client;
  TlsEnd server;
};

Error client_failure(const TlsSetup& setup) {
  Handshake handshake(setup);
  CHECK_FALSE(handshake.client.secured);
  REQUIRE(handshake.client.handshake_failure.has_value());
  return *handshake.client.handshake_failure;
}

// The pin that a refusal names, which is what an operator would copy.
std::string pin_of_server(TlsSetup setup) {
  setup.client.pins = {"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
  const std::string detail = client_failure(setup).detail;
  const size_t at = detail.find("sha256//");
  REQUIRE(at != std::string::npos);
  return detail.substr(at);
}

std::string problem_of(const TlsOptions& options) {
  const auto made = TlsContext::for_client(options);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().kind == ErrorKind::kConfiguration);
  return made.error().detail;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a gateway whose keys are not pinned is refused, with the pin that it has") {
  TlsSetup setup(certificates());
  setup.client.pins = {"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
  const Error failure = client_failure(setup);
  CHECK(failure.kind == ErrorKind::kCertificate);
  CHECK(contains(failure.detail, "none of the keys in its chain is pinned"));
}

TEST_CASE("a gateway is accepted by a pin of its own key, and of its CA's") {
  TlsSetup setup(certificates());
  const std::string own = pin_of_server(setup);
  setup.client.pins = {"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", own};
  CHECK(Handshake(setup).client.secured);
  setup.client.pins = {certificates().ca_pin()};
  CHECK(Handshake(setup).client.secured);
}

TEST_CASE("a pin does not replace the verification of the chain") {
  TlsSetup setup(certificates());
  setup.server.cert_file = certificates().gateway_of_other_ca().cert_file;
  setup.server.key_file = certificates().gateway_of_other_ca().key_file;
  TlsSetup trusting = setup;
  trusting.client.ca_file = certificates().other_ca_file();
  setup.client.pins = {pin_of_server(trusting)};
  CHECK(contains(client_failure(setup).detail, "unknown CA"));
}

TEST_CASE("pins are told apart from what only looks like them") {
  CHECK(parse_spki_pin("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").ok());
  for (const char* text : {"", "sha256//", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                           "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
                           "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
                           "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                           "sha256//!!!!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                           "sha256// AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                           "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=A"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_spki_pin(text).ok());
  }
}

TEST_CASE("a revoked certificate of the gateway is refused") {
  TlsSetup setup(certificates());
  setup.client.crl_file = certificates().revoke({});
  CHECK(Handshake(setup).client.secured);
  setup.client.crl_file = certificates().revoke({certificates().gateway().cert_file});
  const Error failure = client_failure(setup);
  CHECK(failure.kind == ErrorKind::kCertificate);
  CHECK(contains(failure.detail, "its certificate has been revoked"));
}

TEST_CASE("a list of revoked certificates that is out of date, or of another CA, is no list") {
  TlsSetup setup(certificates());
  setup.client.crl_file = certificates().revoke({}, -1);
  CHECK(contains(client_failure(setup).detail, "in crl_file is out of date"));
  setup.client.crl_file = certificates().revoke({});
  setup.client.ca_file = certificates().other_ca_file();
  setup.server.cert_file = certificates().gateway_of_other_ca().cert_file;
  setup.server.key_file = certificates().gateway_of_other_ca().key_file;
  const Error failure = client_failure(setup);
  CHECK(contains(failure.detail, "crl_file has no list of "));
  CHECK(contains(failure.detail, "another CA"));
}

TEST_CASE("a file that is no list of revoked certificates is named") {
  TlsOptions options;
  options.ca_file = certificates().ca_file();
  options.crl_file = certificates().ca_file();
  CHECK(contains(problem_of(options), "crl_file " + options.crl_file));
  options.crl_file = certificates().dir().file("none.crl");
  CHECK(contains(problem_of(options), "No such file"));
}

TEST_CASE("an identity in one file is as good as one in two") {
  TlsSetup setup(certificates());
  std::ofstream(certificates().dir().file("password")) << "correct horse\n";
  setup.client.cert_file.clear();
  setup.client.key_file.clear();
  setup.client.pkcs12_file = certificates().to_pkcs12(certificates().worker(), "correct horse");
  setup.client.pkcs12_password_file = certificates().dir().file("password");
  Handshake handshake(setup);
  CHECK(handshake.client.secured);
  CHECK(handshake.server.secured);
  CHECK(handshake.server.stream().peer_common_name() == "worker-1");
  CHECK(handshake.client.context().certificate_validity().has_value());
}

TEST_CASE("what is wrong with an identity in one file is said") {
  TlsOptions options;
  options.pkcs12_file = certificates().to_pkcs12(certificates().worker(), "correct horse");
  CHECK(contains(problem_of(options), "the password is wrong"));
  std::ofstream(certificates().dir().file("password")) << "correct horse\n";
  options.pkcs12_password_file = certificates().dir().file("password");
  options.cert_file = certificates().worker().cert_file;
  CHECK(contains(problem_of(options), "one of them is enough"));
  options.cert_file.clear();
  options.pkcs12_file = certificates().worker().cert_file;
  CHECK(contains(problem_of(options), "not a usable PKCS #12 file"));
  options.pkcs12_file = certificates().to_pkcs12(certificates().expired(), "correct horse");
  CHECK(contains(problem_of(options), "the certificate expired on"));
}

TEST_CASE("key exchange groups are OpenSSL's, and one that it does not have is named") {
  TlsSetup setup(certificates());
  setup.client.groups = {"X25519", "P-256"};
  CHECK(Handshake(setup).client.secured);
  TlsOptions options;
  options.groups = {"X25519", "not-a-group"};
  CHECK(contains(problem_of(options), "not-a-group"));
}
