// A bearer token (RFC 6750).

#include "agent/link/auth.h"
#include "common/ascii.h"
#include "common/secret_file.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

Result<SecretField> bearer_field(const Secret& token, const std::string& where) {
  if (!is_bearer_token(token.reveal())) {
    return Error{ErrorKind::kConfiguration, Side::kLocal,
                 "the token in " + where +
                     " is no bearer token: letters, digits and -._~+/ belong "
                     "there (RFC 6750)"};
  }
  return SecretField{"authorization", Secret("Bearer " + std::string(token.reveal()))};
}

class BearerFromFile final : public Auth {
 public:
  explicit BearerFromFile(std::string file) : file_(std::move(file)) {}

  [[nodiscard]] Result<SecretField> field() const override {
    const Result<Secret> token = read_secret_file(file_);
    if (!token) return token.error();
    return bearer_field(token.value(), file_);
  }

 private:
  std::string file_;
};

class FixedBearer final : public Auth {
 public:
  explicit FixedBearer(Secret token) : token_(std::move(token)) {}

  [[nodiscard]] Result<SecretField> field() const override {
    return bearer_field(token_, "the environment");
  }

 private:
  Secret token_;
};

}  // namespace

// RFC 6750 section 2.1: b64token.
bool is_bearer_token(std::string_view token) {
  const size_t end = token.find_last_not_of('=');
  if (end == std::string_view::npos) return false;
  return std::all_of(token.begin(), token.begin() + static_cast<std::ptrdiff_t>(end) + 1,
                     [](char byte) {
                       return is_letter(byte) || is_digit(byte) ||
                              std::string_view("-._~+/").find(byte) != std::string_view::npos;
                     });
}

std::unique_ptr<Auth> make_bearer_auth(std::string token_file) {
  return std::make_unique<BearerFromFile>(std::move(token_file));
}

std::unique_ptr<Auth> make_bearer_auth(Secret token) {
  return std::make_unique<FixedBearer>(std::move(token));
}

}  // namespace ptth
