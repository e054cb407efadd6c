// RFC 9421: the examples of its section 2.4 and appendix B, and what must not pass.

#include "common/message_signature.h"

#include "common/base64.h"
#include "common/signature_key.h"
#include "tests/support/signature_keys.h"
#include "tests/support/temp_dir.h"

#include <map>
#include <optional>
#include <string>
#include <variant>

#include <doctest/doctest.h>

using ptth::ComponentOf;
using ptth::SignatureKey;
using ptth::structured::InnerList;
using ptth::test::KeyKind;
using ptth::test::KeyPair;
using ptth::test::make_key_pair;
using ptth::test::TempDir;
using ptth::test::write_file;

namespace {

// By the component's text without parameters; of the request behind ";req".
using Message = std::map<std::string, std::string>;

ptth::ComponentValue values(const Message& message) {
  return [&message](std::string_view name, ComponentOf of) -> std::optional<std::string> {
    const auto found =
        message.find(std::string(name) + (of == ComponentOf::kRequest ? ";req" : ""));
    return found == message.end() ? std::nullopt : std::optional(found->second);
  };
}

InnerList covered(const std::string& signature_input) {
  const auto dictionary = ptth::structured::parse_dictionary("sig=" + signature_input);
  REQUIRE(dictionary.ok());
  return std::get<InnerList>(dictionary.value().front().second);
}

struct Keys {
  TempDir dir;

  [[nodiscard]] SignatureKey open(const std::string& pem) const {
    return SignatureKey::read_public("key", write_file(dir.file("public"), pem)).value();
  }

  [[nodiscard]] SignatureKey secret(const std::string& pem) const {
    return SignatureKey::read_private("key", write_file(dir.file("private"), pem)).value();
  }
};

std::string decoded(const std::string& base64) {
  return ptth::decode_base64(base64).value();
}

const Message kRequest = {{"date", "Tue, 20 Apr 2021 02:07:55 GMT"},
                          {"@method", "POST"},
                          {"@path", "/foo"},
                          {"@authority", "example.com"},
                          {"content-type", "application/json"},
                          {"content-length", "18"}};

}  // namespace

TEST_CASE("the Ed25519 example of RFC 9421 (B.2.6) is made and verified to the byte") {
  const Keys keys;
  const auto base = ptth::signature_base(
      covered(R"(("date" "@method" "@path" "@authority" "content-type" "content-length"))"
              R"(;created=1618884473;keyid="test-key-ed25519")"),
      values(kRequest));
  REQUIRE(base.ok());
  CHECK(base.value() ==
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n"
        "\"@authority\": example.com\n\"content-type\": application/json\n\"content-length\": 18\n"
        "\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" "
        "\"content-length\");created=1618884473;keyid=\"test-key-ed25519\"");
  const std::string signature = decoded(
      "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==");
  CHECK(keys.secret(ptth::test::kRfcEd25519Private).sign(base.value()).value() == signature);
  const SignatureKey key = keys.open(ptth::test::kRfcEd25519Public);
  CHECK(key.algorithm() == "ed25519");
  CHECK(key.verify(base.value(), signature));
  CHECK_FALSE(key.verify(base.value() + " ", signature));
}

TEST_CASE("the ECDSA example of RFC 9421 (B.2.4) verifies") {
  const Keys keys;
  const std::string digest =
      "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5"
      "aGgfLQ==:";
  const Message message = {{"@status", "200"},
                           {"content-type", "application/json"},
                           {"content-digest", digest},
                           {"content-length", "23"}};
  const auto base =
      ptth::signature_base(covered(R"(("@status" "content-type" "content-digest" "content-length"))"
                                   R"(;created=1618884473;keyid="test-key-ecc-p256")"),
                           values(message));
  const SignatureKey key = keys.open(ptth::test::kRfcP256Public);
  CHECK(key.algorithm() == "ecdsa-p256-sha256");
  CHECK(key.verify(base.value(), decoded("wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgya"
                                         "hnzDnDAUy5eCdlYUEkLIj+32oiasw==")));
}

TEST_CASE("the example of RFC 9421 that binds a response to its request (2.4) verifies") {
  const Keys keys;
  const Message message = {
      {"@status", "503"},
      {"content-digest",
       "sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kxsTbARtY2PTBOzq24uJFpHs"
       "MuAg==:"},
      {"content-type", "application/json"},
      {"@authority;req", "example.com"},
      {"@method;req", "POST"},
      {"@path;req", "/foo"},
      {"content-digest;req",
       "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXv"
       "Jwew==:"}};
  const auto base = ptth::signature_base(
      covered(R"(("@status" "content-digest" "content-type" "@authority";req "@method";req )"
              R"("@path";req "content-digest";req);created=1618884479;keyid="test-key-ecc-p256")"),
      values(message));
  REQUIRE(base.ok());
  const std::string signature = decoded(
      "dMT/A/76ehrdBTD/2Xx8QuKV6FoyzEP/I9hdzKN8LQJLNgzU4W767HK05rx1i8meNQQgQPgQp8wq2ive3tV5Ag==");
  CHECK(keys.open(ptth::test::kRfcP256Public).verify(base.value(), signature));
}

TEST_CASE("an empty list of components signs its parameters (B.2.1)") {
  CHECK(ptth::signature_base(
            covered(
                R"(();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd")"),
            values({}))
            .value() ==
        "\"@signature-params\": ();created=1618884473;keyid=\"test-key-rsa-pss\";"
        "nonce=\"b3k2pp5k7z-50gnwp.yemd\"");
}

TEST_CASE("components that could be read in two ways are not signed") {
  const Message message = {{"a", "1"}, {"line", "1\n\"b\": 2"}};
  for (const std::string text : {R"(("a" "a"))", R"(("b"))", R"(("a";req))", R"(("a";sf))",
                                 R"(("a";req=?0))", R"((a))", R"(("line"))"}) {
    CAPTURE(text);
    CHECK_FALSE(ptth::signature_base(covered(text), values(message)).ok());
  }
}

TEST_CASE("a signature of each kind of key is checked by its public key, and by no other") {
  const Keys keys;
  for (const KeyKind kind : {KeyKind::kEd25519, KeyKind::kP256, KeyKind::kP384}) {
    const KeyPair pair = make_key_pair(kind);
    const SignatureKey secret = keys.secret(pair.private_pem);
    const SignatureKey open = keys.open(pair.public_pem);
    const std::string signature = secret.sign("text").value();
    CHECK(signature.size() == (kind == KeyKind::kP384 ? 96 : 64));
    CHECK(open.algorithm() == secret.algorithm());
    CHECK(open.name() == secret.name());
    CHECK(open.verify("text", signature));
    CHECK_FALSE(open.verify("Text", signature));
    CHECK_FALSE(open.verify("text", signature.substr(1)));
    CHECK_FALSE(open.verify("text", ""));
    std::string changed = signature;
    changed.back() = static_cast<char>(changed.back() ^ 1);
    CHECK_FALSE(open.verify("text", changed));
    CHECK_FALSE(keys.open(make_key_pair(kind).public_pem).verify("text", signature));
    CHECK_FALSE(open.sign("text").ok());
  }
}

TEST_CASE("a key that cannot sign is refused with its file and what is wrong") {
  const TempDir dir;
  const auto problem = [&](const std::string& text) {
    const auto key = SignatureKey::read_private("key_file", write_file(dir.file("key"), text));
    return key ? std::string("accepted") : key.error().detail;
  };
  CHECK(SignatureKey::read_private("key_file", dir.file("none")).error().detail ==
        "key_file " + dir.file("none") + ": No such file or directory");
  CHECK(problem("") == "key_file " + dir.file("key") + ": the file is empty");
  CHECK(problem("secret text") ==
        "key_file " + dir.file("key") + ": there is no private key in PEM in it");
  CHECK(problem(ptth::test::kRfcEd25519Public) ==
        "key_file " + dir.file("key") + ": there is no private key in PEM in it");
  CHECK(problem(make_key_pair(KeyKind::kRsa).private_pem).find("neither Ed25519 nor") !=
        std::string::npos);
}

TEST_CASE("a content digest is that of RFC 9530") {
  CHECK(ptth::content_digest("{\"hello\": \"world\"}") ==
        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
}
