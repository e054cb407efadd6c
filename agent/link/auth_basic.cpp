// User and password (RFC 7617).

#include "agent/link/auth.h"
#include "common/base64.h"
#include "common/secret_file.h"

#include <string>
#include <utility>

namespace ptth {

namespace {

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
    std::string value = "Basic ";
    append_base64(value, pair.value().reveal());
    return SecretField{"authorization", Secret(std::move(value))};
  }

 private:
  std::string file_;
};

}  // namespace

std::unique_ptr<Auth> make_basic_auth(std::string file) {
  return std::make_unique<Basic>(std::move(file));
}

}  // namespace ptth
