#include "common/secret.h"

#include <ostream>

#include <openssl/crypto.h>

namespace ptth {

Secret::Secret(std::string&& text) : bytes_(text.begin(), text.end()) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

Secret::~Secret() {
  wipe();
}

Secret& Secret::operator=(const Secret& other) {
  if (this == &other) return *this;
  wipe();
  bytes_ = other.bytes_;
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  bytes_.swap(other.bytes_);
  return *this;
}

bool Secret::operator==(const Secret& other) const {
  return bytes_.size() == other.bytes_.size() &&
         CRYPTO_memcmp(bytes_.data(), other.bytes_.data(), bytes_.size()) == 0;
}

void Secret::wipe() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
  bytes_.clear();
}

std::ostream& operator<<(std::ostream& out, const Secret& /*secret*/) {
  return out << Secret::kMask;
}

std::string to_string(const Secret& /*secret*/) {
  return std::string(Secret::kMask);
}

}  // namespace ptth
