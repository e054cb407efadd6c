#pragma once

// A key that makes or checks HTTP message signatures (RFC 9421 section 3.3): Ed25519, ECDSA with
// P-256 or P-384.

#include "common/error.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

struct evp_pkey_st;

namespace ptth {

class SignatureKey {
 public:
  // From a PEM file, read now. kConfiguration, and the name of the file but nothing of what is in
  // it: cannot be read, holds no such key, or one of another kind. option: for the error.
  [[nodiscard]] static Result<SignatureKey> read_private(std::string_view option,
                                                         const std::string& file);
  // Checks signatures only. From a file with the public key, or with a certificate.
  [[nodiscard]] static Result<SignatureKey> read_public(std::string_view option,
                                                        const std::string& file);

  // As RFC 9421 calls it: "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384".
  [[nodiscard]] std::string_view algorithm() const { return algorithm_; }

  // "sha256//" and the base64 of the SHA-256 of the public key (as SpkiPin): a name that needs no
  // arrangement.
  [[nodiscard]] std::string name() const;

  // Only with a private key.
  [[nodiscard]] Result<std::string> sign(std::string_view text) const;
  [[nodiscard]] bool verify(std::string_view text, std::string_view signature) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const noexcept;
  };

  using Handle = std::unique_ptr<evp_pkey_st, Free>;

  SignatureKey(Handle key, std::string_view algorithm)
      : key_(std::move(key)), algorithm_(algorithm) {}

  [[nodiscard]] static Result<SignatureKey> from(Handle key, std::string_view option,
                                                 const std::string& file);

  Handle key_;
  std::string_view algorithm_;  // A constant.
};

}  // namespace ptth
