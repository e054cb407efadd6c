#include "common/signature_key.h"

#include "common/c_handle.h"
#include "common/spki_pin.h"
#include "common/tls_file.h"

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace ptth {

namespace {

using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using EcdsaPtr = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeWith<X509_free>>;

constexpr std::string_view kEd25519 = "ed25519";
constexpr std::string_view kEcdsaP256 = "ecdsa-p256-sha256";
constexpr std::string_view kEcdsaP384 = "ecdsa-p384-sha384";

// Empty: none that we use.
std::string_view algorithm_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return kEd25519;
  std::array<char, 64> group{};
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1) return {};
  const std::string_view name(group.data());
  if (name == "prime256v1" || name == "P-256") return kEcdsaP256;
  if (name == "secp384r1" || name == "P-384") return kEcdsaP384;
  return {};
}

const EVP_MD* digest_of(std::string_view algorithm) {
  if (algorithm == kEd25519) return nullptr;
  return algorithm == kEcdsaP256 ? EVP_sha256() : EVP_sha384();
}

// Of one of the two numbers of an ECDSA signature.
size_t number_size(std::string_view algorithm) {
  return algorithm == kEcdsaP256 ? 32 : 48;
}

const unsigned char* as_unsigned(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* as_unsigned(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

// RFC 9421 section 3.3.4: both numbers at their full length, where OpenSSL has DER.
std::optional<std::string> numbers_of(const std::string& der, size_t size) {
  const unsigned char* at = as_unsigned(std::string_view(der));
  const EcdsaPtr parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::string numbers(2 * size, '\0');
  if (!parsed) return std::nullopt;
  const int width = static_cast<int>(size);
  if (BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), as_unsigned(numbers), width) != width ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), as_unsigned(numbers) + size, width) != width) {
    return std::nullopt;
  }
  return numbers;
}

std::optional<std::string> der_of(std::string_view numbers, size_t size) {
  if (numbers.size() != 2 * size) return std::nullopt;
  const EcdsaPtr made(ECDSA_SIG_new());
  const int width = static_cast<int>(size);
  BIGNUM* r = BN_bin2bn(as_unsigned(numbers), width, nullptr);
  BIGNUM* s = BN_bin2bn(as_unsigned(numbers) + size, width, nullptr);
  // It takes the numbers over.
  if (!made || ECDSA_SIG_set0(made.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return std::nullopt;
  }
  unsigned char* bytes = nullptr;
  const int length = i2d_ECDSA_SIG(made.get(), &bytes);
  if (length <= 0) return std::nullopt;
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
  OPENSSL_free(bytes);
  return der;
}

// Without this OpenSSL would ask on the terminal.
int no_pass_phrase(char*, int, int, void*) noexcept {
  return -1;
}

}  // namespace

void SignatureKey::Free::operator()(evp_pkey_st* key) const noexcept {
  EVP_PKEY_free(key);
}

Result<SignatureKey> SignatureKey::from(Handle key, std::string_view option,
                                        const std::string& file) {
  const std::string_view algorithm = algorithm_of(key.get());
  ERR_clear_error();
  if (algorithm.empty()) {
    return tls_file_error(option, file,
                          "its key is neither Ed25519 nor of the curves P-256 and P-384; openssl "
                          "genpkey -algorithm ed25519 makes one");
  }
  return SignatureKey(std::move(key), algorithm);
}

Result<SignatureKey> SignatureKey::read_private(std::string_view option, const std::string& file) {
  if (const auto readable = check_readable(option, file); !readable) return readable.error();
  const BioPtr text(BIO_new_file(file.c_str(), "rb"));
  Handle key(text ? PEM_read_bio_PrivateKey(text.get(), nullptr, no_pass_phrase, nullptr)
                  : nullptr);
  if (!key) return tls_file_error(option, file, pem_problem("private key"));
  return from(std::move(key), option, file);
}

Result<SignatureKey> SignatureKey::read_public(std::string_view option, const std::string& file) {
  if (const auto readable = check_readable(option, file); !readable) return readable.error();
  const BioPtr text(BIO_new_file(file.c_str(), "rb"));
  Handle key(text ? PEM_read_bio_PUBKEY(text.get(), nullptr, no_pass_phrase, nullptr) : nullptr);
  if (!key && text) {
    ERR_clear_error();
    BIO_seek(text.get(), 0);
    const CertificatePtr certificate(
        PEM_read_bio_X509(text.get(), nullptr, no_pass_phrase, nullptr));
    if (certificate) key.reset(X509_get_pubkey(certificate.get()));
  }
  if (!key) return tls_file_error(option, file, pem_problem("public key or certificate"));
  return from(std::move(key), option, file);
}

std::string SignatureKey::name() const {
  unsigned char* bytes = nullptr;
  const int size = i2d_PUBKEY(key_.get(), &bytes);
  CHECK_INVARIANT(size > 0);
  SpkiPin pin{};
  const int done =
      EVP_Digest(bytes, static_cast<size_t>(size), pin.data(), nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(bytes);
  CHECK_INVARIANT(done == 1);
  return to_string(pin);
}

Result<std::string> SignatureKey::sign(std::string_view text) const {
  const Error failed{ErrorKind::kInternal, Side::kLocal, "OpenSSL could not sign"};
  const DigestPtr context(EVP_MD_CTX_new());
  std::string signature;
  size_t size = 0;
  const bool made =
      context &&
      EVP_DigestSignInit(context.get(), nullptr, digest_of(algorithm_), nullptr, key_.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, as_unsigned(text), text.size()) == 1;
  if (made) signature.resize(size);
  const bool done = made && EVP_DigestSign(context.get(), as_unsigned(signature), &size,
                                           as_unsigned(text), text.size()) == 1;
  ERR_clear_error();
  if (!done) return failed;
  signature.resize(size);
  if (algorithm_ == kEd25519) return signature;
  std::optional<std::string> numbers = numbers_of(signature, number_size(algorithm_));
  if (!numbers) return failed;
  return *std::move(numbers);
}

bool SignatureKey::verify(std::string_view text, std::string_view signature) const {
  std::optional<std::string> own(signature);
  if (algorithm_ != kEd25519) own = der_of(signature, number_size(algorithm_));
  const DigestPtr context(EVP_MD_CTX_new());
  const bool good = own && context &&
                    EVP_DigestVerifyInit(context.get(), nullptr, digest_of(algorithm_), nullptr,
                                         key_.get()) == 1 &&
                    EVP_DigestVerify(context.get(), as_unsigned(std::string_view(*own)),
                                     own->size(), as_unsigned(text), text.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace ptth
