// User and password (RFC 7617).

#include "agent/link/auth.h"
#include "common/secret_file.h"

#include <utility>

#include <openssl/evp.h>

namespace ptth {

namespace {

// EVP_EncodeBlock also writes a zero byte.
Secret in_base64(std::string_view prefix, std::string_view bytes) {
  std::string text(prefix);
  text.resize(prefix.size() + (bytes.size() + 2) / 3 * 4 + 1);
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data() + prefix.size()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  text.pop_back();
  return Secret(std::move(text));
}

class Basic final : public Auth {
 public:
  explicit Basic(std::string file) : file_(std::move(file)) {}

  [[nodiscard]] Result<SecretField> field() const override {
    const Result<Secret> pair = read_secret_file(file_);
    if (!pair) return pair.error();
    if (pair.value().reveal().find(':') == std::string_view::npos) {
      return Error{ErrorKind::kConfiguration, Side::kLocal,
                   "the secret in " + file_ + ": user:password belongs there"};
    }
    return SecretField{"authorization", in_base64("Basic ", pair.value().reveal())};
  }

 private:
  std::string file_;
};

}  // namespace

std::unique_ptr<Auth> make_basic_auth(std::string file) {
  return std::make_unique<Basic>(std::move(file));
}

}  // namespace ptth
