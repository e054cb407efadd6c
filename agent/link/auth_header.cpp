// Whatever field a gateway wants, with a value from a file.

#include "agent/link/auth.h"
#include "common/http_rules.h"
#include "common/secret_file.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

class Header final : public Auth {
 public:
  Header(std::string name, std::string file) : name_(std::move(name)), file_(std::move(file)) {}

  [[nodiscard]] Result<SecretField> field() const override {
    Result<Secret> value = read_secret_file(file_);
    if (!value) return value.error();
    return SecretField{name_, std::move(value).value()};
  }

 private:
  std::string name_;
  std::string file_;
};

}  // namespace

std::unique_ptr<Auth> make_header_auth(std::string name, std::string file) {
  return std::make_unique<Header>(std::move(name), std::move(file));
}

Result<HeaderFile> parse_header_file(const std::string& text) {
  const auto wrong = [](const std::string& detail) {
    return Error{ErrorKind::kConfiguration, Side::kLocal, detail};
  };
  const size_t colon = text.find(':');
  std::string name = text.substr(0, colon);
  std::transform(name.begin(), name.end(), name.begin(), ascii_lower);
  if (colon == std::string::npos || !is_token(name) || colon + 1 == text.size()) {
    return wrong("a field from a file is written name:file");
  }
  const FieldRules& rules = field_rules(name);
  const bool is_credential = name == "proxy-authorization" || name == "authorization";
  const bool is_the_hellos =
      rules.hop_by_hop || rules.framing_lookalike || rules.id != FieldId::kOther;
  if (is_the_hellos && !is_credential) return wrong(name + " is written by the hello itself");
  return HeaderFile{std::move(name), text.substr(colon + 1)};
}

}  // namespace ptth
