#include "common/spki_pin.h"

#include "common/base64.h"
#include "common/check.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace ptth {

namespace {

constexpr std::string_view kPrefix = "sha256//";
constexpr size_t kBase64Size = 44;

}  // namespace

Result<SpkiPin> parse_spki_pin(const std::string& text) {
  const std::string_view encoded =
      std::string_view(text).substr(std::min(text.size(), kPrefix.size()));
  // The base64 of 32 bytes, whose last two bits are zero.
  std::array<uint8_t, 36> decoded{};
  const bool looks_right = text.starts_with(kPrefix) && encoded.size() == kBase64Size &&
                           encoded.ends_with('=') &&
                           !encoded.substr(0, kBase64Size - 1).ends_with('=');
  const int size =
      looks_right
          ? EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(encoded.data()),
                            static_cast<int>(encoded.size()))
          : -1;
  SpkiPin pin{};
  std::copy_n(decoded.begin(), pin.size(), pin.begin());
  // What is not the text of what it means was something else.
  if (size < 0 || to_string(pin) != text) {
    return Error{ErrorKind::kConfiguration, Side::kLocal,
                 "not a pin; write sha256// and the base64 of the SHA-256 of the public key"};
  }
  return pin;
}

std::string to_string(const SpkiPin& pin) {
  std::string text(kPrefix);
  append_base64(text, {reinterpret_cast<const char*>(pin.data()), pin.size()});
  return text;
}

SpkiPin spki_pin_of(const x509_st* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes);
  CHECK_INVARIANT(size > 0);
  SpkiPin pin{};
  const int done =
      EVP_Digest(bytes, static_cast<size_t>(size), pin.data(), nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(bytes);
  CHECK_INVARIANT(done == 1);
  return pin;
}

}  // namespace ptth
