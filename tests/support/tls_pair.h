#pragma once

// A TLS client and a TLS server that talk over an in-memory pipe or over sockets, and what each of
// them was told.

#include "common/tls_stream.h"
#include "tests/support/recording_listener.h"
#include "tests/support/test_certificates.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace ptth::test {

class TlsEnd final : public TlsStream::HandshakeListener {
 public:
  enum class Role { kClient, kServer };

  // Listens to its stream from on_secured on.
  TlsEnd(Loop& loop, Role role, const TlsOptions& options, TlsStream::Parameters parameters,
         std::unique_ptr<ByteStream> beneath) {
    auto made =
        role == Role::kClient ? TlsContext::for_client(options) : TlsContext::for_server(options);
    CHECK_INVARIANT(made.ok());
    context_ = std::move(made).value();
    const auto start = role == Role::kClient ? TlsStream::connect : TlsStream::accept;
    stream_ = start(loop, *context_, std::move(beneath), std::move(parameters), *this);
  }

  void on_secured() override {
    CHECK_INVARIANT(!secured && !handshake_failure);
    secured = true;
    if (listens_when_secured) stream_->set_listener(&heard);
    if (!says_when_secured.empty()) stream_->write(as_bytes(says_when_secured));
  }

  void on_handshake_failed(const Error& error) override {
    CHECK_INVARIANT(!secured && !handshake_failure);
    handshake_failure = error;
  }

  [[nodiscard]] TlsStream& stream() { return *stream_; }

  [[nodiscard]] TlsContext& context() { return *context_; }

  [[nodiscard]] std::unique_ptr<TlsStream> take_stream() { return std::move(stream_); }

  // The end of its journey, however it ended.
  [[nodiscard]] std::optional<Error> failure() const {
    return handshake_failure ? handshake_failure : heard.failure;
  }

  bool listens_when_secured = true;
  std::string says_when_secured;
  bool secured = false;
  std::optional<Error> handshake_failure;
  RecordingListener heard;

 private:
  std::unique_ptr<TlsContext> context_;
  std::unique_ptr<TlsStream> stream_;
};

// Options that let the handshake succeed; a test changes what it is about.
struct TlsSetup {
  explicit TlsSetup(const TestCertificates& certificates) {
    client.ca_file = certificates.ca_file();
    client.cert_file = certificates.worker().cert_file;
    client.key_file = certificates.worker().key_file;
    server.ca_file = certificates.ca_file();
    server.cert_file = certificates.gateway().cert_file;
    server.key_file = certificates.gateway().key_file;
    client_parameters.server_name = "gw.test";
    client_parameters.alpn = {"h2"};
    client_parameters.peer = Side::kGateway;
    server_parameters.alpn = {"h2"};
  }

  TlsOptions client;
  TlsOptions server;
  TlsStream::Parameters client_parameters;
  TlsStream::Parameters server_parameters;
};

}  // namespace ptth::test
