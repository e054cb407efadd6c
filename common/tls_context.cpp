#include "common/tls_context.h"

#include "common/tls_words.h"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string_view>
#include <system_error>

#include <openssl/err.h>
#include <openssl/pem.h>
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

Error file_error(std::string_view option, const std::string& path, const std::string& what) {
  return configuration_error(std::string(option) + " " + path + ": " + what);
}

Error internal_error() {
  return {ErrorKind::kInternal, Side::kLocal, "OpenSSL: " + take_openssl_error().text};
}

// OpenSSL says "no start line" for an empty file and little for a missing one.
Result<void> check_readable(std::string_view option, const std::string& path) {
  const std::unique_ptr<std::FILE, FreeWith<std::fclose>> file(std::fopen(path.c_str(), "re"));
  if (!file || std::fgetc(file.get()) == EOF) {
    const int code = errno;
    const bool empty = file && std::ferror(file.get()) == 0;
    return file_error(option, path,
                      empty ? "the file is empty" : std::generic_category().message(code));
  }
  return {};
}

std::string pem_problem(std::string_view expected) {
  const OpenSslError error = take_openssl_error();
  if (error.library == ERR_LIB_PEM && error.reason == PEM_R_NO_START_LINE) {
    return "there is no " + std::string(expected) + " in PEM in it";
  }
  if (error.library == ERR_LIB_PEM && (error.reason == PEM_R_BAD_PASSWORD_READ ||
                                       error.reason == PEM_R_PROBLEMS_GETTING_PASSWORD)) {
    return "the key is encrypted with a pass phrase, which is not supported";
  }
  if (error.library == ERR_LIB_SSL && error.reason == SSL_R_EE_KEY_TOO_SMALL) {
    return "its key is too small";
  }
  return "not a usable " + std::string(expected) + ": " + error.text;
}

// Without this OpenSSL would ask on the terminal.
int no_pass_phrase(char*, int, int, void*) noexcept {
  return -1;
}

Result<void> check_validity(SSL_CTX* context, const std::string& path) {
  const X509* certificate = SSL_CTX_get0_certificate(context);
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return file_error("cert_file", path,
                      "the certificate expired on " + time_text(X509_get0_notAfter(certificate)));
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return file_error(
        "cert_file", path,
        "the certificate is not valid before " + time_text(X509_get0_notBefore(certificate)));
  }
  return {};
}

Result<void> load_identity(SSL_CTX* context, const TlsOptions& options) {
  if (options.cert_file.empty()) {
    if (options.key_file.empty()) return {};
    return configuration_error("key_file is given without cert_file");
  }
  SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
  const std::string& cert_file = options.cert_file;
  const bool apart = !options.key_file.empty();
  const std::string& key_file = apart ? options.key_file : cert_file;
  const std::string_view key_option = apart ? "key_file" : "cert_file";
  if (Result<void> readable = check_readable("cert_file", cert_file); !readable) return readable;
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return file_error("cert_file", cert_file, pem_problem("certificate"));
  }
  if (Result<void> readable = check_readable(key_option, key_file); !readable) return readable;
  // OpenSSL compares a key of the same type with the certificate as it loads it, another only when
  // it is asked.
  const std::string differs = "the key does not belong to the certificate in " + cert_file;
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool compared = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509;
    const std::string problem = pem_problem("private key");
    return file_error(key_option, key_file, compared ? differs : problem);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return file_error(key_option, key_file, differs);
  }
  return check_validity(context, cert_file);
}

Result<void> load_trust(SSL_CTX* context, const std::string& ca_file) {
  if (ca_file.empty()) {
    // Looked up as they are needed; SSL_CERT_FILE and SSL_CERT_DIR come first.
    if (SSL_CTX_set_default_verify_paths(context) != 1) return internal_error();
    return {};
  }
  if (Result<void> readable = check_readable("ca_file", ca_file); !readable) return readable;
  if (SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) {
    return file_error("ca_file", ca_file, pem_problem("certificate"));
  }
  // Who lists an intermediate or a single certificate means it.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
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
  if (Result<void> done = load_identity(context.get(), options); !done) return done.error();
  ERR_clear_error();
  return std::unique_ptr<TlsContext>(
      std::make_unique<OpenSslContext>(std::move(context), !options.cert_file.empty()));
}

}  // namespace

std::optional<int64_t> OpenSslContext::certificate_expiry() const {
  const X509* certificate = SSL_CTX_get0_certificate(ssl_context_.get());
  tm utc{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc) != 1) {
    return std::nullopt;
  }
  return int64_t{timegm(&utc)};
}

Result<std::unique_ptr<TlsContext>> TlsContext::for_client(const TlsOptions& options) {
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return internal_error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (Result<void> done = load_trust(context.get(), options.ca_file); !done) return done.error();
  return finish(std::move(context), options);
}

Result<std::unique_ptr<TlsContext>> TlsContext::for_server(const TlsOptions& options) {
  ERR_clear_error();
  if (options.cert_file.empty()) return configuration_error("a TLS server needs cert_file");
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context) return internal_error();
  if (options.peer_certificate != PeerCertificate::kNone) {
    // With the system's roots anybody with a certificate of any public CA would be let in.
    if (options.ca_file.empty()) {
      return configuration_error("a TLS server that asks for client certificates needs ca_file");
    }
    if (Result<void> done = load_trust(context.get(), options.ca_file); !done) return done.error();
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
