#include "common/tls_stream.h"
#include "tests/support/pipe_stream.h"
#include "tests/support/raw_tls_server.h"
#include "tests/support/tls_pair.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/ssl.h>

using ptth::Bytes;
using ptth::ByteStream;
using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::TlsVersion;
using ptth::test::as_bytes;
using ptth::test::IdentityFiles;
using ptth::test::make_pipe;
using ptth::test::PipePair;
using ptth::test::RawTlsServer;
using ptth::test::TestCertificates;
using ptth::test::TlsEnd;
using ptth::test::TlsSetup;

namespace {

const TestCertificates& certificates() {
  static const TestCertificates made;
  return made;
}

TlsSetup setup_with(TlsVersion min_version) {
  TlsSetup setup(certificates());
  setup.client.min_version = min_version;
  // The other server knows nothing of it.
  setup.client_parameters.require_alpn = false;
  return setup;
}

// Our client and a server that is not ours.
struct AgainstRaw {
  explicit AgainstRaw(const IdentityFiles& identity, const RawTlsServer::Adjust& adjust = {},
                      TlsVersion min_version = TlsVersion::kTls13)
      : setup(setup_with(min_version)),
        server(std::move(pipe.b), identity, adjust),
        client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
               std::move(pipe.a)) {}

  void settle() {
    for (int turn = 0; turn < 5; ++turn)
      loop.turn();
  }

  TlsSetup setup;
  Loop loop{ClockMode::kManual};
  PipePair pipe = make_pipe(loop);
  RawTlsServer server;
  TlsEnd client;
};

// Between a client and a server: passes everything on, and falsifies one byte.
class Falsifier {
 public:
  Falsifier(std::unique_ptr<ByteStream> left, std::unique_ptr<ByteStream> right, size_t position)
      : left_(std::move(left)),
        right_(std::move(right)),
        to_left_(*left_, position),
        to_right_(*right_, SIZE_MAX) {
    left_->set_listener(&to_right_);
    right_->set_listener(&to_left_);
  }

 private:
  class Direction final : public ByteStream::Listener {
   public:
    Direction(ByteStream& to, size_t position) : to_(to), position_(position) {}

    void on_bytes(Bytes bytes) override {
      std::vector<uint8_t> copy(bytes.begin(), bytes.end());
      if (position_ >= seen_ && position_ - seen_ < copy.size()) copy[position_ - seen_] ^= 1U;
      seen_ += copy.size();
      to_.write(copy);
    }

    void on_end() override { to_.shutdown(); }

    void on_failed(const Error&) override {}

    void on_sent() override {}

   private:
    ByteStream& to_;
    size_t position_;
    size_t seen_ = 0;
  };

  std::unique_ptr<ByteStream> left_;
  std::unique_ptr<ByteStream> right_;
  Direction to_left_;
  Direction to_right_;
};

}  // namespace

TEST_CASE("a server with an expired or not yet valid certificate is refused with the date") {
  SUBCASE("expired") {
    AgainstRaw pair(certificates().expired());
    pair.settle();
    REQUIRE(pair.client.handshake_failure.has_value());
    CHECK(pair.client.handshake_failure->kind == ErrorKind::kCertificate);
    const std::string& detail = pair.client.handshake_failure->detail;
    CHECK(detail.find("gw.test: its certificate expired on 20") == 0);
    CHECK(detail.find("; by the clock of this machine it is 20") != std::string::npos);
  }
  SUBCASE("not yet valid") {
    AgainstRaw pair(certificates().not_yet_valid());
    pair.settle();
    REQUIRE(pair.client.handshake_failure.has_value());
    CHECK(pair.client.handshake_failure->kind == ErrorKind::kCertificate);
    const std::string& detail = pair.client.handshake_failure->detail;
    CHECK(detail.find("gw.test: its certificate is not valid before 20") == 0);
    CHECK(detail.find("; by the clock of this machine it is 20") != std::string::npos);
    CHECK(detail.ends_with("UTC: is it right?"));
  }
}

TEST_CASE("why a gateway does not accept our certificate is said in words, with the file") {
  struct Reason {
    // What OpenSSL sends as the alert.
    int (*verify)(int accepted, X509_STORE_CTX* store);
    const char* words;
  };

  const std::vector<Reason> reasons = {
      {[](int, X509_STORE_CTX* store) {
         X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_HAS_EXPIRED);
         return 0;
       },
       "it has expired, or is not valid yet, by the clock over there (certificate expired)"},
      {[](int, X509_STORE_CTX* store) {
         X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
         return 0;
       },
       "it has been revoked (certificate revoked)"},
      {[](int, X509_STORE_CTX* store) {
         X509_STORE_CTX_set_error(store, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
         return 0;
       },
       "it does not know the CA that issued it, or the chain is not whole (unknown CA)"},
      {[](int, X509_STORE_CTX* store) {
         X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
         return 0;
       },
       "it is of a kind, or for a use, that is not allowed (unsupported certificate)"},
      {[](int, X509_STORE_CTX* store) {
         X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
         return 0;
       },
       "no reason is given (bad certificate)"},
  };
  for (const Reason& reason : reasons) {
    CAPTURE(reason.words);
    AgainstRaw pair(certificates().gateway(), [&](SSL_CTX* context) {
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, reason.verify);
    });
    pair.settle();
    REQUIRE(pair.client.failure().has_value());
    CHECK(pair.client.failure()->kind == ErrorKind::kRefused);
    CHECK(pair.client.failure()->detail == "gw.test: it does not accept our certificate, " +
                                               pair.setup.client.cert_file + ": " + reason.words);
  }
}

TEST_CASE("TLS 1.2 is spoken only by consent") {
  const auto only_12 = [](SSL_CTX* context) {
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  };
  SUBCASE("without") {
    AgainstRaw pair(certificates().gateway(), only_12);
    pair.settle();
    REQUIRE(pair.client.handshake_failure.has_value());
    CHECK(pair.client.handshake_failure->kind == ErrorKind::kProtocol);
    CHECK(pair.client.handshake_failure->detail ==
          "gw.test: it does not speak a TLS version that is allowed");
  }
  SUBCASE("with") {
    AgainstRaw pair(certificates().gateway(), only_12, TlsVersion::kTls12);
    pair.settle();
    REQUIRE(pair.client.secured);
    CHECK(pair.client.stream().tls_version() == "TLSv1.2");
    pair.client.stream().write(as_bytes("ping"));
    pair.settle();
    CHECK(pair.server.received == "ping");
    pair.server.write("pong");
    pair.settle();
    CHECK(pair.client.heard.received == "pong");
    // A renegotiation that the server asks for does not happen; the server gives up.
    SSL_renegotiate(pair.server.ssl());
    SSL_do_handshake(pair.server.ssl());
    pair.server.flush();
    pair.settle();
    CHECK(SSL_renegotiate_pending(pair.server.ssl()) == 1);
    REQUIRE(pair.client.failure().has_value());
    CHECK(pair.client.failure()->kind == ErrorKind::kProtocol);
  }
}

TEST_CASE("session tickets and key updates pass unnoticed") {
  AgainstRaw pair(certificates().gateway());
  pair.settle();
  REQUIRE(pair.client.secured);
  pair.server.write("one ");
  SSL_key_update(pair.server.ssl(), SSL_KEY_UPDATE_REQUESTED);
  pair.server.write("two");
  pair.settle();
  CHECK(pair.client.heard.received == "one two");
  pair.client.stream().write(as_bytes("under new keys"));
  pair.settle();
  CHECK(pair.server.received == "under new keys");
}

TEST_CASE("writes wait while a message of the server has come only in part") {
  // Its tickets hold the client's certificate, so they are longer than these records.
  AgainstRaw pair(certificates().gateway(), [](SSL_CTX* context) {
    SSL_CTX_set_max_send_fragment(context, 512);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_load_verify_file(context, certificates().ca_file().c_str());
    const unsigned char id = 1;
    SSL_CTX_set_session_id_context(context, &id, 1);
  });
  pair.server.send_bytes_max = 0;
  pair.settle();
  // The server's flight, in pieces, until the client has answered it.
  while (!pair.server.secured()) {
    REQUIRE_FALSE(pair.client.handshake_failure.has_value());
    pair.server.send_bytes_max = 100;
    pair.server.flush();
    pair.settle();
  }
  REQUIRE(pair.client.secured);
  // Now the tickets: after each piece the client writes.
  std::string sent;
  bool waited = false;
  for (int piece = 0; piece < 60; ++piece) {
    pair.server.send_bytes_max = 100;
    pair.server.flush();
    pair.settle();
    const std::string text = "piece " + std::to_string(piece) + "; ";
    sent += text;
    pair.client.stream().write(as_bytes(text));
    pair.settle();
    waited = waited || pair.client.stream().unsent_bytes() > 0;
  }
  CHECK(waited);
  CHECK(pair.client.stream().unsent_bytes() == 0);
  CHECK(pair.server.received == sent);
}

TEST_CASE("a falsified byte anywhere ends the connection and never arrives") {
  const std::string secret(3000, 's');
  int failures = 0;
  for (size_t position = 0; position < 4200; position += 197) {
    CAPTURE(position);
    TlsSetup setup(certificates());
    Loop loop(ClockMode::kManual);
    PipePair near = make_pipe(loop);
    PipePair far = make_pipe(loop);
    const Falsifier between(std::move(near.b), std::move(far.a), position);
    TlsEnd client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
                  std::move(near.a));
    TlsEnd server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
                  std::move(far.b));
    server.says_when_secured = secret;
    for (int turn = 0; turn < 10; ++turn)
      loop.turn();
    if (!client.failure()) {
      // The byte lies behind everything that was sent.
      CHECK(client.heard.received == secret);
      continue;
    }
    ++failures;
    CHECK(client.heard.received.empty());
    CHECK((client.failure()->kind == ErrorKind::kProtocol ||
           client.failure()->kind == ErrorKind::kCertificate));
  }
  CHECK(failures > 15);
}

TEST_CASE("data behind close_notify is ignored") {
  AgainstRaw pair(certificates().gateway());
  pair.settle();
  REQUIRE(pair.client.secured);
  pair.server.write("last");
  SSL_shutdown(pair.server.ssl());
  pair.server.flush();
  pair.server.stream().write(as_bytes("anything at all"));
  pair.settle();
  CHECK(pair.client.heard.received == "last");
  CHECK(pair.client.heard.ends == 1);
  pair.client.stream().write(as_bytes("still open"));
  pair.settle();
  CHECK_FALSE(pair.client.failure().has_value());
  // The connection itself ends: that is no second end.
  pair.server.stream().shutdown();
  pair.settle();
  CHECK(pair.client.heard.ends == 1);
}
