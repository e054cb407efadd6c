#include "common/message_signature.h"

#include "common/http_rules.h"

#include <algorithm>
#include <set>
#include <utility>

#include <openssl/evp.h>

namespace ptth {

namespace {

Error wrong(std::string what) {
  return {ErrorKind::kProtocol, Side::kGateway, "signature: " + std::move(what)};
}

Result<ComponentOf> component_of(const structured::Parameters& parameters) {
  if (parameters.empty()) return ComponentOf::kThisMessage;
  const auto& [name, value] = parameters.front();
  const bool* flag = std::get_if<bool>(&value);
  if (parameters.size() == 1 && name == "req" && flag != nullptr && *flag) {
    return ComponentOf::kRequest;
  }
  return wrong("a component has a parameter that is not known here");
}

}  // namespace

structured::Item signature_component(std::string name, ComponentOf of) {
  structured::Item item{std::move(name)};
  if (of == ComponentOf::kRequest) item.parameters.emplace_back("req", true);
  return item;
}

Result<std::string> signature_base(const structured::InnerList& covered,
                                   const ComponentValue& value_of) {
  std::string base;
  std::set<std::string> seen;
  for (const structured::Item& item : covered.items) {
    const auto* name = std::get_if<std::string>(&item.value);
    if (name == nullptr) return wrong("a component is no string");
    const Result<ComponentOf> of = component_of(item.parameters);
    if (!of) return of.error();
    const std::string identifier = structured::to_string(item);
    if (!seen.insert(identifier).second) return wrong(identifier + " is covered twice");
    const std::optional<std::string> value = value_of(*name, of.value());
    if (!value) return wrong("there is no " + identifier);
    if (!is_field_value(*value)) return wrong(identifier + " has a byte that is not allowed");
    base.append(identifier).append(": ").append(*value).append("\n");
  }
  return base + "\"@signature-params\": " + structured::to_string(covered);
}

std::string content_digest(std::string_view body) {
  std::string digest(32, '\0');
  const int done =
      EVP_Digest(body.data(), body.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
                 EVP_sha256(), nullptr);
  CHECK_INVARIANT(done == 1);
  return structured::to_string(
      structured::Dictionary{{"sha-256", structured::Item{structured::ByteSequence{digest}}}});
}

}  // namespace ptth
