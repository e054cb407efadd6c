#include "tests/gateway/challenge_rules.h"

#include "common/message_signature.h"
#include "common/secret_file.h"
#include "common/signature_key.h"
#include "common/structured_fields.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

namespace ptth::dev {

namespace {

using Wrong = std::optional<std::string>;
using Json = nlohmann::json;
using structured::InnerList;
using structured::Item;

constexpr const char* kTag = "ptth-challenge";
constexpr int64_t kClockSkewSeconds = 5;

// Each must be covered by the signature.
constexpr std::array<std::string_view, 8> kCovered{
    {R"("@status")", R"("content-type")", R"("content-digest")", R"("ptth-exporter")",
     R"("@method";req)", R"("@authority";req)", R"("@path";req)", R"("ptth-challenge";req)"}};

std::optional<std::string> only_field(const FieldList& fields, std::string_view name) {
  std::optional<std::string> found;
  for (const Field field : fields) {
    if (field.name != name) continue;
    if (found) return std::nullopt;
    found = field.value;
  }
  return found;
}

template <class Value>
const Value* parameter(const InnerList& list, std::string_view name) {
  const structured::Value* value = find(list.parameters, name);
  return value == nullptr ? nullptr : std::get_if<Value>(value);
}

// The one signature with our tag.
Wrong choose_signature(const FieldList& fields, InnerList& covered, std::string& signature) {
  const auto input = only_field(fields, "signature-input");
  const auto values = only_field(fields, "signature");
  if (!input || !values) return "it has not one Signature-Input and one Signature";
  const auto inputs = structured::parse_dictionary(*input);
  const auto signatures = structured::parse_dictionary(*values);
  if (!inputs) return "Signature-Input: " + inputs.error().detail;
  if (!signatures) return "Signature: " + signatures.error().detail;
  for (const auto& [label, member] : inputs.value()) {
    const auto* list = std::get_if<InnerList>(&member);
    const auto* tag = list == nullptr ? nullptr : parameter<std::string>(*list, "tag");
    if (tag == nullptr || *tag != kTag) continue;
    const structured::Member* of_label = find(signatures.value(), label);
    const auto* item = of_label == nullptr ? nullptr : std::get_if<Item>(of_label);
    const auto* bytes =
        item == nullptr ? nullptr : std::get_if<structured::ByteSequence>(&item->value);
    if (bytes == nullptr) return "Signature has no bytes under the label " + label;
    covered = *list;
    signature = bytes->bytes;
    return std::nullopt;
  }
  return std::string("no signature has the tag ") + kTag;
}

Wrong wrong_with_parameters(const ChallengeRules& rules, const ChallengeAsked& asked,
                            const InnerList& covered) {
  const auto* created = parameter<int64_t>(covered, "created");
  const auto* expires = parameter<int64_t>(covered, "expires");
  const auto* nonce = parameter<std::string>(covered, "nonce");
  const auto* key_id = parameter<std::string>(covered, "keyid");
  if (created == nullptr || nonce == nullptr || key_id == nullptr) {
    return "the signature lacks one of created, nonce and keyid";
  }
  if (':' + *nonce + ':' != asked.nonce) return "the signature has another nonce";
  if (*created > asked.now + kClockSkewSeconds) return "the signature is from the future";
  if (*created < asked.now - rules.max_age.count() / 1000) return "the signature is too old";
  if (expires != nullptr && *expires < asked.now) return "the signature has expired";
  for (const std::string_view needed : kCovered) {
    const auto is_needed = [needed](const Item& item) { return to_string(item) == needed; };
    if (std::ranges::none_of(covered.items, is_needed)) {
      return "the signature does not cover " + std::string(needed);
    }
  }
  return std::nullopt;
}

Wrong wrong_with_signature(const ChallengeRules& rules, const ChallengeAsked& asked,
                           const ChallengeAnswer& answer) {
  const auto key = SignatureKey::read_public("--challenge-key-file", rules.key_file);
  if (!key) return key.error().detail;
  InnerList covered;
  std::string signature;
  if (auto wrong = choose_signature(answer.fields, covered, signature)) return wrong;
  if (auto wrong = wrong_with_parameters(rules, asked, covered)) return wrong;
  const auto* algorithm = parameter<std::string>(covered, "alg");
  if (algorithm != nullptr && *algorithm != key.value().algorithm()) {
    return "the signature is of another algorithm than the key";
  }
  const auto value_of = [&](std::string_view name, ComponentOf of) -> std::optional<std::string> {
    const bool of_request = of == ComponentOf::kRequest;
    if (name == "@status" && !of_request) return std::to_string(answer.status);
    if (name == "@method" && of_request) return "GET";
    if (name == "@authority" && of_request) return rules.authority;
    if (name == "@path" && of_request) return rules.path;
    if (name == "ptth-challenge" && of_request) return asked.nonce;
    return of_request ? std::nullopt : only_field(answer.fields, name);
  };
  const auto base = signature_base(covered, value_of);
  if (!base) return base.error().detail;
  if (!key.value().verify(base.value(), signature)) {
    return "the signature is not of this answer, or not of this key";
  }
  if (only_field(answer.fields, "content-digest") != content_digest(answer.body)) {
    return "Content-Digest is not the SHA-256 of the body";
  }
  const Item exporter{structured::ByteSequence{asked.exporter}};
  if (asked.exporter.empty() || only_field(answer.fields, "ptth-exporter") != to_string(exporter)) {
    return "the answer was made for another TLS connection";
  }
  return std::nullopt;
}

Wrong wrong_with_token(const ChallengeRules& rules, const Json& document) {
  const auto expected = read_secret_file(rules.token_file);
  if (!expected) return expected.error().detail;
  const auto type = document.find("token_type");
  const auto token = document.find("access_token");
  if (type == document.end() || *type != "Bearer" || token == document.end() ||
      !token->is_string()) {
    return "it holds no bearer token";
  }
  if (!(Secret(token->get<std::string>()) == expected.value())) return "it holds another token";
  return std::nullopt;
}

Wrong read_prefixes(const Json& document, std::vector<std::string>& prefixes) {
  const auto list = document.find("prefixes");
  if (list == document.end() || !list->is_array() || list->empty()) return "it lists no prefixes";
  for (const Json& prefix : *list) {
    if (!prefix.is_string() || !prefix.get_ref<const std::string&>().starts_with('/')) {
      return "a prefix is no path";
    }
    prefixes.push_back(prefix.get<std::string>());
  }
  return std::nullopt;
}

Wrong wrong_with(const ChallengeRules& rules, const ChallengeAsked& asked,
                 const ChallengeAnswer& answer, std::vector<std::string>& prefixes) {
  if (answer.status != 200) return "the answer has the status " + std::to_string(answer.status);
  if (only_field(answer.fields, "content-type") != "application/json") {
    return "the answer is not application/json";
  }
  if (!rules.key_file.empty()) {
    if (auto wrong = wrong_with_signature(rules, asked, answer)) return wrong;
  }
  const Json document = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return "the answer is no JSON object";
  const auto worker = document.find("worker");
  if (worker == document.end() || !worker->is_string()) return "it does not say which worker it is";
  if (!rules.token_file.empty()) {
    if (auto wrong = wrong_with_token(rules, document)) return wrong;
  }
  return read_prefixes(document, prefixes);
}

}  // namespace

ChallengeVerdict judge_challenge(const ChallengeRules& rules, const ChallengeAsked& asked,
                                 const ChallengeAnswer& answer) {
  ChallengeVerdict verdict;
  verdict.wrong = wrong_with(rules, asked, answer, verdict.prefixes);
  return verdict;
}

bool serves(const std::vector<std::string>& prefixes, std::string_view path) {
  path = path.substr(0, path.find('?'));
  const auto holds = [path](std::string_view prefix) {
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
  };
  return prefixes.empty() || std::ranges::any_of(prefixes, holds);
}

}  // namespace ptth::dev
