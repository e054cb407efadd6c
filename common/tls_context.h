#pragma once

// What connections made from the same TlsOptions share: OpenSSL's settings and the memory into
// which records are decrypted. For tls_stream.cpp; others know TlsContext.

#include "common/c_handle.h"
#include "common/spki_pin.h"
#include "common/tls_stream.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <openssl/ssl.h>

namespace ptth {

using SslContextPtr = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

class OpenSslContext final : public TlsContext {
 public:
  // The plaintext of a full read buffer and of the record that it completes fits, with room for one
  // more record.
  static constexpr size_t kScratchBytes = size_t{96} * 1024;

  using Scratch = std::unique_ptr<uint8_t[]>;

  // identity_file: our certificate's; empty if we have none.
  OpenSslContext(SslContextPtr ssl_context, std::string identity_file, std::vector<SpkiPin> pins)
      : ssl_context_(std::move(ssl_context)),
        identity_file_(std::move(identity_file)),
        pins_(std::move(pins)) {}

  [[nodiscard]] std::optional<Validity> certificate_validity() const override;

  [[nodiscard]] SSL_CTX* ssl_context() { return ssl_context_.get(); }

  // We have a certificate of our own.
  [[nodiscard]] bool has_certificate() const { return !identity_file_.empty(); }

  [[nodiscard]] const std::string& identity_file() const { return identity_file_; }

  // One of them is in the peer's chain, if there are any.
  [[nodiscard]] const std::vector<SpkiPin>& pins() const { return pins_; }

  // Of kScratchBytes. While one is in use, a connection inside another (TLS in TLS) gets a new one.
  [[nodiscard]] Scratch take_scratch() {
    if (scratch_) return std::move(scratch_);
    return std::make_unique_for_overwrite<uint8_t[]>(kScratchBytes);
  }

  void give_scratch(Scratch scratch) { scratch_ = std::move(scratch); }

 private:
  SslContextPtr ssl_context_;
  std::string identity_file_;
  std::vector<SpkiPin> pins_;
  Scratch scratch_;
};

}  // namespace ptth
