#pragma once

// A TLS server made of OpenSSL alone, without any of our TLS code: for what ours refuses to do
// (expired certificates, old versions, tickets, messages in pieces).

#include "common/byte_stream.h"
#include "common/c_handle.h"
#include "common/check.h"
#include "tests/support/test_certificates.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/ssl.h>

namespace ptth::test {

class RawTlsServer final : public ByteStream::Listener {
 public:
  using Adjust = std::function<void(SSL_CTX*)>;

  RawTlsServer(std::unique_ptr<ByteStream> stream, const IdentityFiles& identity,
               const Adjust& adjust = {})
      : stream_(std::move(stream)), context_(SSL_CTX_new(TLS_server_method())) {
    CHECK_INVARIANT(
        SSL_CTX_use_certificate_chain_file(context_.get(), identity.cert_file.c_str()) == 1);
    CHECK_INVARIANT(SSL_CTX_use_PrivateKey_file(context_.get(), identity.key_file.c_str(),
                                                SSL_FILETYPE_PEM) == 1);
    if (adjust) adjust(context_.get());
    ssl_.reset(SSL_new(context_.get()));
    CHECK_INVARIANT(ssl_ != nullptr);
    // The SSL owns both.
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl_.get());
    stream_->set_listener(this);
  }

  RawTlsServer(const RawTlsServer&) = delete;
  RawTlsServer& operator=(const RawTlsServer&) = delete;
  RawTlsServer(RawTlsServer&&) = delete;
  RawTlsServer& operator=(RawTlsServer&&) = delete;
  ~RawTlsServer() = default;

  void on_bytes(Bytes bytes) override {
    BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
    std::array<char, 4096> memory{};
    int count = 0;
    while ((count = SSL_read(ssl_.get(), memory.data(), static_cast<int>(memory.size()))) > 0)
      received.append(memory.data(), static_cast<size_t>(count));
    flush();
  }

  void on_end() override {}

  void on_failed(const Error&) override {}

  void on_sent() override {}

  void write(std::string_view text) {
    CHECK_INVARIANT(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0);
    flush();
  }

  // Sends what OpenSSL has written; what is beyond the limit waits for the next call.
  void flush() {
    std::array<char, 4096> memory{};
    while (send_bytes_max > 0) {
      const size_t room = send_bytes_max < memory.size() ? send_bytes_max : memory.size();
      const int count = BIO_read(SSL_get_wbio(ssl_.get()), memory.data(), static_cast<int>(room));
      if (count <= 0) return;
      send_bytes_max -= static_cast<size_t>(count);
      stream_->write({reinterpret_cast<const uint8_t*>(memory.data()), static_cast<size_t>(count)});
    }
  }

  [[nodiscard]] bool secured() const { return SSL_is_init_finished(ssl_.get()) == 1; }

  [[nodiscard]] SSL* ssl() { return ssl_.get(); }

  [[nodiscard]] ByteStream& stream() { return *stream_; }

  std::string received;
  size_t send_bytes_max = SIZE_MAX;

 private:
  std::unique_ptr<ByteStream> stream_;
  std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, FreeWith<SSL_free>> ssl_;
};

}  // namespace ptth::test
