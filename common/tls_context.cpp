#include "common/tls_context.h"

#include "common/spki_pin.h"
#include "common/tls_file.h"
#include "common/tls_identity.h"
#include "common/tls_words.h"

#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace ptth {

namespace {

// At least 112 bits of security: RSA 2048, no SHA-1.
constexpr int kSecurityLevel = 2;

// Strongest per CPU second first; all have forward secrecy and authenticate what they encrypt.
constexpr const char* kSuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kSuitesTls12 = "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20";

Error configuration_error(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail)};
}

Error internal_error() {
  return {ErrorKind::kInternal, Side::kLocal, "OpenSSL: " + take_openssl_error().text};
}

// As nginx and HAProxy do it: once there is a list, every CA of a chain must have one in it.
Result<void> load_revocations(SSL_CTX* context, const std::string& crl_file) {
  if (crl_file.empty()) return {};
  if (Result<void> readable = check_readable("crl_file", crl_file); !readable) return readable;
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  X509_LOOKUP* lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
  if (lookup == nullptr) return internal_error();
  if (X509_load_crl_file(lookup, crl_file.c_str(), X509_FILETYPE_PEM) <= 0) {
    return tls_file_error("crl_file", crl_file, pem_problem("certificate revocation list"));
  }
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context),
                              X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return {};
}

Result<void> load_trust(SSL_CTX* context, const std::string& ca_file) {
  if (ca_file.empty()) {
    // Looked up as they are needed; SSL_CERT_FILE and SSL_CERT_DIR come first.
    if (SSL_CTX_set_default_verify_paths(context) != 1) return internal_error();
    return {};
  }
  if (Result<void> readable = check_readable("ca_file", ca_file); !readable) return readable;
  if (SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) {
    return tls_file_error("ca_file", ca_file, pem_problem("certificate"));
  }
  // Who lists an intermediate or a single certificate means it.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  return {};
}

Result<void> set_groups(SSL_CTX* context, const std::vector<std::string>& groups) {
  if (groups.empty()) return {};
  std::string list;
  for (const std::string& group : groups) {
    if (SSL_CTX_set1_groups_list(context, group.c_str()) != 1) {
      ERR_clear_error();
      return configuration_error("groups: " + std::string(OpenSSL_version(OPENSSL_VERSION_STRING)) +
                                 " of OpenSSL has no key exchange group " + group +
                                 " (ptth-agent version --json lists those that it has)");
    }
    list += (list.empty() ? "" : ":") + group;
  }
  if (SSL_CTX_set1_groups_list(context, list.c_str()) != 1) return internal_error();
  return {};
}

Result<void> set_rules(SSL_CTX* context, const TlsOptions& options) {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  const int min_version =
      options.min_version == TlsVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  if (SSL_CTX_set_min_proto_version(context, min_version) != 1 ||
      SSL_CTX_set_ciphersuites(context, kSuites) != 1 ||
      SSL_CTX_set_cipher_list(context, kSuitesTls12) != 1) {
    return internal_error();
  }
  if (Result<void> done = set_groups(context, options.groups); !done) return done;
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Every connection verifies anew: no sessions, no tickets, so no 0-RTT either.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return {};
}

Result<std::unique_ptr<TlsContext>> finish(SslContextPtr context, const TlsOptions& options) {
  if (Result<void> done = set_rules(context.get(), options); !done) return done.error();
  if (Result<void> done = load_tls_identity(context.get(), options); !done) return done.error();
  std::vector<SpkiPin> pins;
  for (const std::string& text : options.pins) {
    const Result<SpkiPin> pin = parse_spki_pin(text);
    if (!pin) return pin.error();
    pins.push_back(pin.value());
  }
  ERR_clear_error();
  return std::unique_ptr<TlsContext>(std::make_unique<OpenSslContext>(
      std::move(context), options.identity_file(), std::move(pins)));
}

}  // namespace

std::optional<TlsContext::Validity> OpenSslContext::certificate_validity() const {
  const X509* certificate = SSL_CTX_get0_certificate(ssl_context_.get());
  tm from{};
  tm to{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &from) != 1 ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &to) != 1) {
    return std::nullopt;
  }
  return Validity{int64_t{timegm(&from)}, int64_t{timegm(&to)}};
}

Result<std::unique_ptr<TlsContext>> TlsContext::for_client(const TlsOptions& options) {
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return internal_error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (Result<void> done = load_trust(context.get(), options.ca_file); !done) return done.error();
  if (Result<void> done = load_revocations(context.get(), options.crl_file); !done) {
    return done.error();
  }
  return finish(std::move(context), options);
}

Result<std::unique_ptr<TlsContext>> TlsContext::for_server(const TlsOptions& options) {
  ERR_clear_error();
  if (!options.has_certificate()) return configuration_error("a TLS server needs cert_file");
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context) return internal_error();
  if (options.peer_certificate != PeerCertificate::kNone) {
    // With the system's roots anybody with a certificate of any public CA would be let in.
    if (options.ca_file.empty()) {
      return configuration_error("a TLS server that asks for client certificates needs ca_file");
    }
    if (Result<void> done = load_trust(context.get(), options.ca_file); !done) return done.error();
    if (Result<void> done = load_revocations(context.get(), options.crl_file); !done) {
      return done.error();
    }
    const bool required = options.peer_certificate == PeerCertificate::kRequired;
    SSL_CTX_set_verify(context.get(),
                       SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(options.ca_file.c_str()));
  }
  constexpr std::string_view kSessionId = "ptth";
  SSL_CTX_set_session_id_context(context.get(),
                                 reinterpret_cast<const unsigned char*>(kSessionId.data()),
                                 static_cast<unsigned int>(kSessionId.size()));
  return finish(std::move(context), options);
}

}  // namespace ptth
