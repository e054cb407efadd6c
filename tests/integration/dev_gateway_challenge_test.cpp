// The development gateway's rules for the answer to a challenge, on answers of the agent's that
// have been changed on the way.

#include "agent/link/challenge_answer.h"
#include "tests/gateway/challenge_rules.h"
#include "tests/support/signature_keys.h"
#include "tests/support/temp_dir.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

constexpr int64_t kNow = 1'900'000'000;

void replace(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
}

struct Judgement {
  Judgement() {
    const test::KeyPair pair = test::make_key_pair(test::KeyKind::kP256);
    options.key_file = test::write_file(dir.file("key"), pair.private_pem);
    options.prefixes = {"/shop", "/cart/"};
    rules.key_file = test::write_file(dir.file("public"), pair.public_pem);
    asked.nonce = ":AAECAwQFBgcICQoLDA0ODw==:";
    asked.exporter = std::string(32, 'e');
    asked.now = kNow;
    made = make();
  }

  [[nodiscard]] ChallengeAnswer make() const {
    auto answer = answer_challenge(options, {"worker", std::string(32, 'e'), kNow},
                                   {"localhost", rules.path, ":AAECAwQFBgcICQoLDA0ODw==:"});
    REQUIRE(answer.ok());
    return {200, answer.value().head.fields, std::string(answer.value().body.reveal())};
  }

  // With a field changed.
  void change(const std::string& name, const std::string& from, const std::string& to) {
    FieldList changed;
    for (const Field field : made.fields) {
      std::string value(field.value);
      if (field.name == name) replace(value, from, to);
      changed.add(field.name, value);
    }
    made.fields = changed;
  }

  [[nodiscard]] std::string wrong() const {
    return judge_challenge(rules, asked, made).wrong.value_or("nothing");
  }

  test::TempDir dir;
  ChallengeOptions options;
  ChallengeRules rules;
  ChallengeAsked asked;
  dev::ChallengeAnswer made;
};

}  // namespace

TEST_CASE_FIXTURE(Judgement, "a right answer is believed, and its prefixes with it") {
  const ChallengeVerdict verdict = judge_challenge(rules, asked, made);
  CHECK_FALSE(verdict.wrong.has_value());
  CHECK(verdict.prefixes == std::vector<std::string>{"/shop", "/cart/"});
}

TEST_CASE_FIXTURE(Judgement, "what is wrong with an answer is said in one line") {
  using Change = std::function<void(Judgement&)>;
  const std::vector<std::pair<std::string, Change>> cases = {
      {"the answer has the status 503", [](Judgement& of) { of.made.status = 503; }},
      {"the answer is not application/json",
       [](Judgement& of) { of.change("content-type", "application", "text"); }},
      {"it has not one Signature-Input and one Signature",
       [](Judgement& of) { of.made.fields.add("signature", "ptth=:AAAA:"); }},
      {"no signature has the tag ptth-challenge",
       [](Judgement& of) { of.change("signature-input", "tag=\"ptth", "tag=\"http"); }},
      {"Signature has no bytes under the label ptth",
       [](Judgement& of) { of.change("signature", "ptth=", "other="); }},
      {"the signature lacks one of created, nonce and keyid",
       [](Judgement& of) { of.change("signature-input", "keyid=", "key="); }},
      {"the signature has another nonce",
       [](Judgement& of) { of.asked.nonce = ":AAECAwQFBgcICQoLDA0OEA==:"; }},
      {"the signature is too old", [](Judgement& of) { of.asked.now += 61; }},
      {"the signature is from the future", [](Judgement& of) { of.asked.now -= 6; }},
      {"the signature has expired",
       [](Judgement& of) {
         of.rules.max_age = Milliseconds(120'000);
         of.asked.now += 61;
       }},
      {"the signature does not cover \"@path\";req",
       [](Judgement& of) { of.change("signature-input", " \"@path\";req", ""); }},
      {"the signature is of another algorithm than the key",
       [](Judgement& of) { of.change("signature-input", "p256-sha256", "p384-sha384"); }},
      {"the signature is not of this answer, or not of this key",
       [](Judgement& of) { of.change("signature-input", "keyid=\"", "keyid=\"x"); }},
      {"the signature is not of this answer, or not of this key",
       [](Judgement& of) { of.rules.authority = "gw.test"; }},
      {"the signature is not of this answer, or not of this key",
       [](Judgement& of) { of.change("ptth-exporter", "ZWVl", "AAAA"); }},
      {"Content-Digest is not the SHA-256 of the body",
       [](Judgement& of) { replace(of.made.body, "/shop", "/"); }},
      {"the answer was made for another TLS connection",
       [](Judgement& of) { of.asked.exporter = std::string(32, 'f'); }},
      {"the answer was made for another TLS connection",
       [](Judgement& of) { of.asked.exporter.clear(); }},
  };
  for (const auto& [wrong_with_it, change] : cases) {
    CAPTURE(wrong_with_it);
    Judgement judgement;
    REQUIRE(judgement.wrong() == "nothing");
    change(judgement);
    CHECK(judgement.wrong() == wrong_with_it);
  }
}

TEST_CASE_FIXTURE(Judgement, "a token is compared, and what else the document must say") {
  rules.key_file.clear();
  rules.token_file = test::write_file(dir.file("token"), "secret\n");
  const auto judged = [&](const std::string& body) {
    made.body = body;
    return wrong();
  };
  const std::string token = R"("token_type":"Bearer","access_token":"secret")";
  CHECK(judged(R"({"worker":"w","prefixes":["/"],)" + token + "}") == "nothing");
  CHECK(judged(R"({"worker":"w","prefixes":["/"]})") == "it holds no bearer token");
  CHECK(judged(R"({"worker":"w","token_type":"Bearer","access_token":"other"})") ==
        "it holds another token");
  CHECK(judged(R"({"worker":"w",)" + token + "}") == "it lists no prefixes");
  CHECK(judged(R"({"worker":"w","prefixes":["a"],)" + token + "}") == "a prefix is no path");
  CHECK(judged("{" + token + "}") == "it does not say which worker it is");
  CHECK(judged("[]") == "the answer is no JSON object");
  CHECK(judged("{") == "the answer is no JSON object");
}

TEST_CASE("a worker serves what is below its prefixes") {
  CHECK(serves({}, "/any"));
  CHECK(serves({"/"}, "/any"));
  CHECK(serves({"/a", "/shop/"}, "/shop?x"));
  CHECK(serves({"/shop"}, "/shop/cart"));
  CHECK_FALSE(serves({"/shop"}, "/shopping"));
}

}  // namespace ptth::dev
