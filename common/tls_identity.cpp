#include "common/tls_identity.h"

#include "common/c_handle.h"
#include "common/secret_file.h"
#include "common/tls_file.h"
#include "common/tls_words.h"

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace ptth {

namespace {

void free_chain(STACK_OF(X509) * chain) {
  sk_X509_pop_free(chain, X509_free);
}

using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using Pkcs12Ptr = std::unique_ptr<PKCS12, FreeWith<PKCS12_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeWith<X509_free>>;
using ChainPtr = std::unique_ptr<STACK_OF(X509), FreeWith<free_chain>>;

// Without this OpenSSL would ask on the terminal.
int no_pass_phrase(char*, int, int, void*) noexcept {
  return -1;
}

Result<void> check_validity(SSL_CTX* context, std::string_view option, const std::string& path) {
  const X509* certificate = SSL_CTX_get0_certificate(context);
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return tls_file_error(
        option, path,
        "the certificate expired on " + time_text(X509_get0_notAfter(certificate)) + clock_text());
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return tls_file_error(option, path,
                          "the certificate is not valid before " +
                              time_text(X509_get0_notBefore(certificate)) + clock_text() +
                              ": is it right?");
  }
  return {};
}

Result<void> load_pem(SSL_CTX* context, const TlsOptions& options) {
  if (options.cert_file.empty()) {
    if (options.key_file.empty()) return {};
    return Error{ErrorKind::kConfiguration, Side::kLocal, "key_file is given without cert_file"};
  }
  SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
  const std::string& cert_file = options.cert_file;
  const bool apart = !options.key_file.empty();
  const std::string& key_file = apart ? options.key_file : cert_file;
  const std::string_view key_option = apart ? "key_file" : "cert_file";
  if (Result<void> readable = check_readable("cert_file", cert_file); !readable) return readable;
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return tls_file_error("cert_file", cert_file, pem_problem("certificate"));
  }
  if (Result<void> readable = check_readable(key_option, key_file); !readable) return readable;
  // OpenSSL compares a key of the same type with the certificate as it loads it, another only when
  // it is asked.
  const std::string differs = "the key does not belong to the certificate in " + cert_file;
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool compared = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509;
    const std::string problem = pem_problem("private key");
    return tls_file_error(key_option, key_file, compared ? differs : problem);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return tls_file_error(key_option, key_file, differs);
  }
  return check_validity(context, "cert_file", cert_file);
}

Result<Secret> pkcs12_password(const TlsOptions& options) {
  if (options.pkcs12_password_file.empty()) return Secret();
  return read_secret_file(options.pkcs12_password_file);
}

std::string pkcs12_problem() {
  const OpenSslError error = take_openssl_error();
  if (error.library == ERR_LIB_PKCS12 && error.reason == PKCS12_R_MAC_VERIFY_FAILURE) {
    return "the password is wrong (pkcs12_password_file)";
  }
  if (error.library == ERR_LIB_EVP) {
    return "it is encrypted with an algorithm that OpenSSL no longer has (RC2, DES): make it again "
           "with openssl pkcs12 -export, version 3 or later: " +
           error.text;
  }
  return "not a usable PKCS #12 file: " + error.text;
}

Result<void> load_pkcs12(SSL_CTX* context, const TlsOptions& options) {
  const std::string& path = options.pkcs12_file;
  const auto wrong = [&path](const std::string& what) {
    return tls_file_error("pkcs12_file", path, what);
  };
  if (!options.cert_file.empty()) return wrong("there is also a cert_file; one of them is enough");
  if (Result<void> readable = check_readable("pkcs12_file", path); !readable) return readable;
  const Result<Secret> password = pkcs12_password(options);
  if (!password) return password.error();
  const BioPtr file(BIO_new_file(path.c_str(), "rb"));
  const Pkcs12Ptr bag(file ? d2i_PKCS12_bio(file.get(), nullptr) : nullptr);
  if (!bag) return wrong(pkcs12_problem());
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  STACK_OF(X509)* chain = nullptr;
  // OpenSSL wants a text that ends in zero.
  std::string text(password.value().reveal());
  const int parsed = PKCS12_parse(bag.get(), text.c_str(), &key, &certificate, &chain);
  const Secret wiped(std::move(text));
  const KeyPtr own_key(key);
  const CertificatePtr own_certificate(certificate);
  const ChainPtr own_chain(chain);
  if (parsed != 1) return wrong(pkcs12_problem());
  if (!own_key || !own_certificate) return wrong("it holds no certificate with its key");
  if (SSL_CTX_use_cert_and_key(context, certificate, key, chain, 1) != 1) {
    return wrong(pkcs12_problem());
  }
  return check_validity(context, "pkcs12_file", path);
}

}  // namespace

Result<void> load_tls_identity(ssl_ctx_st* context, const TlsOptions& options) {
  return options.pkcs12_file.empty() ? load_pem(context, options) : load_pkcs12(context, options);
}

}  // namespace ptth
