#include "agent/link/challenge_answer.h"

#include "agent/link/auth.h"
#include "common/message_signature.h"
#include "common/signature_key.h"
#include "common/structured_fields.h"

#include <array>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

constexpr std::string_view kNonceField = "ptth-challenge";
constexpr std::string_view kExporterField = "ptth-exporter";
constexpr const char* kLabel = "ptth";
constexpr const char* kTag = "ptth-challenge";
// How long a signature may be believed.
constexpr int64_t kLifetimeSeconds = 60;
constexpr std::string_view kBearer = "Bearer ";

struct Covered {
  std::string_view name;
  ComponentOf of;
};

constexpr std::array<Covered, 8> kCovered{{{"@status", ComponentOf::kThisMessage},
                                           {"content-type", ComponentOf::kThisMessage},
                                           {"content-digest", ComponentOf::kThisMessage},
                                           {kExporterField, ComponentOf::kThisMessage},
                                           {"@method", ComponentOf::kRequest},
                                           {"@authority", ComponentOf::kRequest},
                                           {"@path", ComponentOf::kRequest},
                                           {kNonceField, ComponentOf::kRequest}}};

Error bad_request(const char* what) {
  return {ErrorKind::kBadRequest, Side::kGateway, what};
}

Error wrong(const char* what) {
  return {ErrorKind::kConfiguration, Side::kLocal, what};
}

std::string bytes_text(std::string bytes) {
  return structured::to_string(structured::Item{structured::ByteSequence{std::move(bytes)}});
}

// Printable ASCII is all that comes here.
void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char byte : text) {
    if (byte == '"' || byte == '\\') out += '\\';
    out += byte;
  }
  out += '"';
}

std::string document(const ChallengeOptions& options, const ChallengeFacts& facts,
                     std::string_view token) {
  std::string out = "{\"worker\":";
  // One allocation, so that no copy of the token is left behind.
  out.reserve(token.size() + 256 + 128 * options.prefixes.size());
  append_json(out, facts.worker);
  out += ",\"prefixes\":[";
  for (const std::string& prefix : options.prefixes) {
    if (&prefix != options.prefixes.data()) out += ',';
    append_json(out, prefix);
  }
  if (options.prefixes.empty()) out += "\"/\"";
  out += ']';
  if (!token.empty()) {
    out += ",\"token_type\":\"Bearer\",\"access_token\":";
    append_json(out, token);
  }
  out += "}\n";
  return out;
}

Result<Secret> read_token(const std::string& file) {
  const Result<SecretField> field = make_bearer_auth(file)->field();
  if (!field) return field.error();
  return Secret(std::string(field.value().value.reveal().substr(kBearer.size())));
}

Result<void> sign(const ChallengeOptions& options, const ChallengeFacts& facts,
                  const ChallengeQuestion& question, FieldList& fields) {
  const Result<SignatureKey> key =
      SignatureKey::read_private("challenge.key_file", options.key_file);
  if (!key) return key.error();
  if (!facts.exporter) {
    return Error{ErrorKind::kProtocol, Side::kGateway,
                 "TLS 1.2 without the extended master secret has no value of its own to sign"};
  }
  fields.add(kExporterField, bytes_text(*facts.exporter));
  structured::InnerList covered;
  for (const Covered& one : kCovered)
    covered.items.push_back(signature_component(std::string(one.name), one.of));
  covered.parameters = {{"created", facts.now},
                        {"expires", facts.now + kLifetimeSeconds},
                        {"keyid", options.key_id.empty() ? key.value().name() : options.key_id},
                        {"alg", std::string(key.value().algorithm())},
                        {"nonce", question.nonce.substr(1, question.nonce.size() - 2)},
                        {"tag", std::string(kTag)}};
  const auto value_of = [&](std::string_view name, ComponentOf) -> std::optional<std::string> {
    if (name == "@status") return "200";
    if (name == "@method") return "GET";
    if (name == "@authority") return question.authority;
    if (name == "@path") return question.path;
    if (name == kNonceField) return question.nonce;
    const auto field = fields.find(name);
    return field ? std::optional(std::string(*field)) : std::nullopt;
  };
  const Result<std::string> base = signature_base(covered, value_of);
  if (!base) return base.error();
  Result<std::string> signature = key.value().sign(base.value());
  if (!signature) return signature.error();
  fields.add("signature-input", structured::to_string(structured::Dictionary{{kLabel, covered}}));
  fields.add(
      "signature",
      structured::to_string(structured::Dictionary{
          {kLabel, structured::Item{structured::ByteSequence{std::move(signature).value()}}}}));
  return {};
}

}  // namespace

Result<std::string> challenge_nonce(const FieldList& fields) {
  std::string found;
  for (const Field field : fields) {
    if (field.name != kNonceField) continue;
    if (!found.empty()) return bad_request("Ptth-Challenge comes twice");
    const auto item = structured::parse_item(field.value);
    const auto* bytes = item ? std::get_if<structured::ByteSequence>(&item.value().value) : nullptr;
    if (bytes == nullptr || !item.value().parameters.empty()) {
      return bad_request("Ptth-Challenge is no byte sequence, as :BASE64:");
    }
    if (bytes->bytes.size() < kNonceBytesMin || bytes->bytes.size() > kNonceBytesMax) {
      return bad_request("the nonce in Ptth-Challenge has not 16 to 64 bytes");
    }
    found = structured::to_string(item.value());
  }
  return found;
}

Result<ChallengeAnswer> answer_challenge(const ChallengeOptions& options,
                                         const ChallengeFacts& facts,
                                         const ChallengeQuestion& question) {
  Secret token;
  if (!options.token_file.empty()) {
    Result<Secret> read = read_token(options.token_file);
    if (!read) return read.error();
    token = std::move(read).value();
  }
  ChallengeAnswer answer;
  answer.body = Secret(document(options, facts, token.reveal()));
  const std::string_view body = answer.body.reveal();
  ResponseHead& head = answer.head;
  head.status = 200;
  head.body = BodyKind::kLength;
  head.content_length = body.size();
  head.fields.add("content-type", "application/json");
  head.fields.add("content-length", std::to_string(body.size()));
  head.fields.add("cache-control", "no-store");
  if (options.key_file.empty()) return answer;
  head.fields.add("content-digest", content_digest(body));
  if (const auto done = sign(options, facts, question, head.fields); !done) return done.error();
  return answer;
}

Result<void> try_challenge(const ChallengeOptions& options) {
  if (!options.token_file.empty()) {
    const Result<Secret> token = read_token(options.token_file);
    if (!token) return token.error();
  }
  if (!options.key_file.empty()) {
    const auto key = SignatureKey::read_private("challenge.key_file", options.key_file);
    if (!key) return key.error();
  }
  return {};
}

Result<void> check_challenge_options(const ChallengeOptions& options) {
  if (!options.token_file.empty() && !options.key_file.empty()) {
    return wrong(
        "--challenge-token-file and --challenge-key-file both say who we are: keep one (a captured "
        "signature is worth nothing, a captured token is)");
  }
  const bool says_more = !options.prefixes.empty() || !options.key_id.empty() ||
                         options.path != ChallengeOptions().path;
  if (!options.enabled() && says_more) {
    return wrong(
        "the answer to a challenge needs something to show: give --challenge-key-file or "
        "--challenge-token-file");
  }
  if (!options.key_id.empty() && options.key_file.empty()) {
    return wrong("--challenge-key-id names the key of --challenge-key-file, which is not given");
  }
  return {};
}

}  // namespace ptth
