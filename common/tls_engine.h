#pragma once

// OpenSSL for one connection: handshake, records in, records out, and what went wrong in words. The
// stream around it (tls_stream.cpp) decides when each of them happens.

#include "common/byte_stream.h"
#include "common/c_handle.h"
#include "common/error.h"
#include "common/tls_bio.h"
#include "common/tls_context.h"
#include "common/tls_stream.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

namespace ptth {

class TlsEngine {
 public:
  enum class Role { kClient, kServer };

  enum class Outcome {
    kDone,
    kWait,    // For more from the other side.
    kEnd,     // close_notify.
    kFailed,  // fault() says why.
  };

  // Records are written to the stream beneath; it and the context outlive the engine.
  TlsEngine(OpenSslContext& context, TlsStream::Parameters parameters, ByteStream& beneath);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;
  TlsEngine(TlsEngine&&) = delete;
  TlsEngine& operator=(TlsEngine&&) = delete;
  ~TlsEngine() = default;

  // Before anything else. An error here is ours: configuration or memory.
  [[nodiscard]] Result<void> configure(Role role);

  // The records that the next calls read from; the engine takes them off the front.
  void set_incoming(Bytes records) { channel_.incoming = records; }

  [[nodiscard]] Bytes incoming() const { return channel_.incoming; }

  // kDone once the other side is verified and an ALPN id is agreed, if one must be.
  [[nodiscard]] Outcome handshake();
  // kDone: count bytes were put at the front of memory. Memory for a whole record leaves nothing of
  // it behind.
  [[nodiscard]] Outcome read(std::span<uint8_t> memory, size_t& count);
  // kDone: all bytes are encrypted and written beneath; else none of them.
  [[nodiscard]] Outcome write(Bytes bytes);
  void send_close_notify();

  // The reason of the last kFailed.
  [[nodiscard]] Error fault();
  // An error of the other side, with its name.
  [[nodiscard]] Error peer_error(ErrorKind kind, const std::string& what) const;

  [[nodiscard]] std::string_view alpn() const;
  [[nodiscard]] std::string_view tls_version() const;

  [[nodiscard]] bool asked_for_certificate() const { return certificate_asked_; }

  [[nodiscard]] std::string peer_common_name() const;
  // As TlsStream has it.
  [[nodiscard]] std::optional<std::string> exporter_value(std::string_view label) const;

 private:
  [[nodiscard]] Result<void> configure_client();
  [[nodiscard]] Outcome outcome_of_failed_call() const;
  [[nodiscard]] Error alert_fault(int alert) const;

  [[nodiscard]] bool needs_alpn() const {
    return parameters_.require_alpn && !parameters_.alpn.empty();
  }

  [[nodiscard]] bool has_pinned_key(X509_STORE_CTX* store) const;

  // OpenSSL's questions.
  static TlsEngine& of(const SSL* ssl);
  static int on_verified(int accepted, X509_STORE_CTX* store) noexcept;
  static int on_certificate_asked(SSL* ssl, void* unused) noexcept;
  static int on_alpn_offered(SSL* ssl, const unsigned char** selected, unsigned char* selected_size,
                             const unsigned char* offered, unsigned int offered_size,
                             void* unused) noexcept;

  OpenSslContext& context_;
  TlsStream::Parameters parameters_;
  RecordChannel channel_;  // Used by the BIO in ssl_.
  std::unique_ptr<SSL, FreeWith<SSL_free>> ssl_;
  std::string verification_problem_;
  bool certificate_asked_ = false;  // By the other side.
  std::string alpn_offered_;        // By a client, and none of it was acceptable.
  bool alpn_missing_ = false;
  bool request_missing_ = false;  // It had to ask for a certificate.
  bool secured_ = false;
};

}  // namespace ptth
