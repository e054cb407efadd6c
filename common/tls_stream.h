#pragma once

// TLS over any ByteStream (design.md, decision 5): OpenSSL works on a BIO of ours, never on the
// descriptor, so that every layer is testable in memory and a profile can take the raw stream back
// at a record boundary. TLS 1.3 (RFC 8446), 1.2 by option. Never 0-RTT, renegotiation or
// compression. SSLKEYLOGFILE is ignored.

#include "common/byte_stream.h"
#include "common/error.h"
#include "common/loop.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// kOptional: one that comes is verified, none is as good.
enum class PeerCertificate { kNone, kOptional, kRequired };

enum class TlsVersion { kTls12, kTls13 };

// What our side of TLS brings: who we trust and who we are. Files are PEM.
struct TlsOptions {
  std::string ca_file;  // Empty: the system's roots (SSL_CERT_FILE and SSL_CERT_DIR are honoured).
  std::string cert_file;             // Our chain; empty: none.
  std::string key_file;              // Its private key; empty: in cert_file.
  std::string pkcs12_file;           // Instead of these two, both in one file (PKCS #12).
  std::string pkcs12_password_file;  // Empty: no password.
  std::string crl_file;  // Lists of revoked certificates, of every CA in a chain; empty: none.
  std::vector<std::string> pins;    // parse_spki_pin(): the peer's chain has one of these keys.
  std::vector<std::string> groups;  // Key exchange, the best first; empty: OpenSSL's.
  TlsVersion min_version = TlsVersion::kTls13;
  // As TLS server: whether the other side needs a certificate, verified against ca_file.
  PeerCertificate peer_certificate = PeerCertificate::kRequired;

  [[nodiscard]] bool has_certificate() const { return !cert_file.empty() || !pkcs12_file.empty(); }

  // Where our certificate comes from.
  [[nodiscard]] const std::string& identity_file() const {
    return pkcs12_file.empty() ? cert_file : pkcs12_file;
  }

  [[nodiscard]] bool operator==(const TlsOptions&) const = default;
};

// Shared by the connections that use the same options; made again for each dial batch so that
// renewed files are picked up.
class TlsContext {
 public:
  TlsContext() = default;
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  TlsContext(TlsContext&&) = delete;
  TlsContext& operator=(TlsContext&&) = delete;
  virtual ~TlsContext() = default;

  // Errors name the file and what is wrong with it (missing, unreadable, not PEM, key does not
  // match, expired).
  [[nodiscard]] static Result<std::unique_ptr<TlsContext>> for_client(const TlsOptions& options);
  [[nodiscard]] static Result<std::unique_ptr<TlsContext>> for_server(const TlsOptions& options);

  // In seconds since 1970.
  struct Validity {
    int64_t from;
    int64_t to;
  };

  // Of our certificate; nothing without one.
  [[nodiscard]] virtual std::optional<Validity> certificate_validity() const = 0;
};

class TlsStream : public ByteStream {
 public:
  class HandshakeListener {
   public:
    // The peer is verified. What follows arrives at the stream's Listener.
    virtual void on_secured() = 0;
    // Terminal. kCertificate: the peer could not be verified, with the reason in words; kRefused:
    // the peer's alert says that it did not accept our certificate; else kProtocol, kClosed.
    virtual void on_handshake_failed(const Error& error) = 0;

   protected:
    ~HandshakeListener() = default;
  };

  struct Parameters {
    std::string
        server_name;  // Client: SNI, and the name (or IP address) that the certificate must carry.
    std::vector<std::string>
        alpn;  // Ids as bytes. Client: offered. Server: acceptable, best first. Empty: no ALPN.
    bool require_alpn = true;  // Fail unless one of alpn was agreed (when alpn is not empty).
    // Client: fail unless the server asked for our certificate, so that it knows who we are.
    bool require_certificate_request = false;
    Side peer = Side::kGateway;  // Blamed in errors.
  };

  // Owns the stream beneath. The context must outlive this stream. The handshake starts at the end
  // of the turn.
  [[nodiscard]] static std::unique_ptr<TlsStream> connect(Loop& loop, TlsContext& context,
                                                          std::unique_ptr<ByteStream> beneath,
                                                          Parameters parameters,
                                                          HandshakeListener& listener);
  [[nodiscard]] static std::unique_ptr<TlsStream> accept(Loop& loop, TlsContext& context,
                                                         std::unique_ptr<ByteStream> beneath,
                                                         Parameters parameters,
                                                         HandshakeListener& listener);

  // Valid after on_secured.
  [[nodiscard]] virtual std::string_view alpn() const = 0;
  [[nodiscard]] virtual std::string_view tls_version() const = 0;
  // Client: the server asked for our certificate, so that it could know who we are.
  [[nodiscard]] virtual bool asked_for_certificate() const = 0;
  // The common name of the peer's certificate, empty if it sent none.
  [[nodiscard]] virtual std::string peer_common_name() const = 0;
  // 32 bytes that this connection's two ends know, and no other connection's (RFC 8446 section 7.5,
  // RFC 9266 section 2). Nothing when the connection has none that is its own: TLS 1.2 without the
  // extended master secret.
  [[nodiscard]] virtual std::optional<std::string> exporter_value(std::string_view label) const = 0;
};

}  // namespace ptth
