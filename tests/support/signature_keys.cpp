#include "tests/support/signature_keys.h"

#include "common/c_handle.h"
#include "common/check.h"

#include <memory>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

namespace ptth::test {

namespace {

using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

KeyPtr make_key(KeyKind kind) {
  switch (kind) {
    case KeyKind::kEd25519:
      return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    case KeyKind::kP256:
      return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    case KeyKind::kP384:
      return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
    case KeyKind::kRsa:
      return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048}));
  }
  return nullptr;
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

KeyPair make_key_pair(KeyKind kind) {
  const KeyPtr key = make_key(kind);
  const BioPtr secret(BIO_new(BIO_s_mem()));
  const BioPtr open(BIO_new(BIO_s_mem()));
  CHECK_INVARIANT(key && PEM_write_bio_PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0,
                                                  nullptr, nullptr) == 1);
  CHECK_INVARIANT(PEM_write_bio_PUBKEY(open.get(), key.get()) == 1);
  return {text_of(secret.get()), text_of(open.get())};
}

}  // namespace ptth::test
