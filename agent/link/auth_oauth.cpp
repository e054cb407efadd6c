// The access token of an authorization server, as a bearer token.

#include "agent/link/auth.h"

#include "agent/link/token_source.h"

#include <string>
#include <utility>

namespace ptth {

namespace {

class Oauth final : public Auth {
 public:
  explicit Oauth(const TokenSource* source) : source_(source) {}

  [[nodiscard]] Result<SecretField> field() const override {
    if (source_ == nullptr) {
      return Error{ErrorKind::kUnavailable, Side::kLocal, "nobody fetches access tokens here"};
    }
    Result<Secret> token = source_->token();
    if (!token) return token.error();
    constexpr std::string_view kScheme = "Bearer ";
    std::string value;
    value.reserve(kScheme.size() + token.value().reveal().size());
    value.append(kScheme).append(token.value().reveal());
    return SecretField{"authorization", Secret(std::move(value))};
  }

 private:
  const TokenSource* source_;
};

}  // namespace

std::unique_ptr<Auth> make_oauth_auth(const TokenSource* source) {
  return std::make_unique<Oauth>(source);
}

}  // namespace ptth
