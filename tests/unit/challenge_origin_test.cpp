#include "agent/link/challenge_origin.h"

#include "agent/link/challenge_answer.h"
#include "common/message_signature.h"
#include "common/signature_key.h"
#include "tests/support/scripted_origin.h"
#include "tests/support/signature_keys.h"
#include "tests/support/temp_dir.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::Bytes;
using ptth::ChallengeOptions;
using ptth::ComponentOf;
using ptth::FieldList;
using ptth::Milliseconds;
using ptth::RequestHead;
using ptth::ResponseHead;
using ptth::SignatureKey;
using ptth::structured::InnerList;
using ptth::structured::Item;
using ptth::test::KeyKind;
using ptth::test::KeyPair;
using ptth::test::make_key_pair;
using ptth::test::TempDir;
using ptth::test::write_file;

namespace {

constexpr int64_t kNow = 1'900'000'000;
const std::string kNonce = ":AAECAwQFBgcICQoLDA0ODw==:";
const std::string kToken = "t0ken-of-the-worker";

struct Answer final : public ptth::ResponseListener {
  void on_interim_response(const ResponseHead&) override { ++interim; }

  void on_response_head(const ResponseHead& of) override { head = of; }

  void on_response_body(Bytes bytes) override { body.append(bytes.begin(), bytes.end()); }

  void on_response_end(const FieldList&) override { ended = true; }

  void on_response_failed(const ptth::Error& error) override { failure = error; }

  void on_request_body_taken(size_t count) override { taken += count; }

  [[nodiscard]] std::string field(std::string_view name) const {
    return std::string(head.fields.find(name).value_or("none"));
  }

  int interim = 0;
  ResponseHead head;
  std::string body;
  bool ended = false;
  size_t taken = 0;
  std::optional<ptth::Error> failure;
};

RequestHead question(const std::string& nonce = kNonce) {
  RequestHead head;
  head.method = "GET";
  head.scheme = "https";
  head.authority = "gw.test";
  head.path = "/.well-known/ptth-challenge";
  if (!nonce.empty()) head.fields.add("ptth-challenge", nonce);
  head.fields.add("via", "2.0 ptth-agent-00000000");
  return head;
}

// One connection to a gateway.
struct ChallengeStage {
  explicit ChallengeStage(const ChallengeOptions& with) : options(with) { connect(); }

  ~ChallengeStage() { loop.turn(); }

  ChallengeStage(const ChallengeStage&) = delete;
  ChallengeStage& operator=(const ChallengeStage&) = delete;
  ChallengeStage(ChallengeStage&&) = delete;
  ChallengeStage& operator=(ChallengeStage&&) = delete;

  void connect() {
    ptth::ChallengeParameters parameters;
    parameters.gateway = "gw";
    parameters.worker = "ptth-agent-00000000";
    parameters.host = "gw.test";
    parameters.port = 8443;
    parameters.exporter = exporter;
    parameters.now = [] { return kNow; };
    origin =
        ptth::make_challenge_origin({loop, inner, log, metrics}, options, std::move(parameters));
  }

  Answer ask(const RequestHead& head) {
    Answer answer;
    {
      const auto call = origin->start(head, answer, {});
      loop.turn();
    }
    return answer;
  }

  [[nodiscard]] uint64_t count(const std::string& outcome) {
    return metrics.counter("ptth_challenges", "", {{"gateway", "gw"}, {"outcome", outcome}})
        .value();
  }

  ChallengeOptions options;
  ptth::Loop loop{ptth::ClockMode::kManual};
  ptth::Log log{{.level = ptth::LogLevel::kOff}};
  ptth::Metrics metrics;
  ptth::ScriptedOrigin inner;
  std::optional<std::string> exporter = std::string(32, 'e');
  std::unique_ptr<ptth::Origin> origin;
};

struct WithKey {
  explicit WithKey(KeyKind kind = KeyKind::kEd25519) : pair(make_key_pair(kind)) {
    options.key_file = write_file(dir.file("key"), pair.private_pem);
  }

  TempDir dir;
  KeyPair pair;
  ChallengeOptions options;
};

struct WithToken {
  WithToken() { options.token_file = write_file(dir.file("token"), kToken + "\n"); }

  TempDir dir;
  ChallengeOptions options;
};

InnerList covered_by(const Answer& answer) {
  const auto inputs = ptth::structured::parse_dictionary(answer.field("signature-input"));
  REQUIRE(inputs.ok());
  return std::get<InnerList>(*find(inputs.value(), "ptth"));
}

std::string text_parameter(const InnerList& list, const char* name) {
  return std::get<std::string>(*find(list.parameters, name));
}

}  // namespace

TEST_CASE(
    "a challenge is signed together with its request and with what only this connection has") {
  WithKey with(KeyKind::kEd25519);
  SUBCASE("with ECDSA on P-256") {
    with.pair = make_key_pair(KeyKind::kP256);
  }
  SUBCASE("with ECDSA on P-384") {
    with.pair = make_key_pair(KeyKind::kP384);
  }
  SUBCASE("with Ed25519") {}
  write_file(with.options.key_file, with.pair.private_pem);
  const SignatureKey key =
      SignatureKey::read_public("", write_file(with.dir.file("public"), with.pair.public_pem))
          .value();
  ChallengeStage stage(with.options);
  const Answer answer = stage.ask(question());
  CHECK(answer.head.status == 200);
  CHECK(answer.ended);
  CHECK(answer.body == "{\"worker\":\"ptth-agent-00000000\",\"prefixes\":[\"/\"]}\n");
  CHECK(answer.field("content-length") == std::to_string(answer.body.size()));
  CHECK(answer.field("content-type") == "application/json");
  CHECK(answer.field("cache-control") == "no-store");
  CHECK(answer.field("content-digest") == ptth::content_digest(answer.body));
  CHECK(answer.field("ptth-exporter") == ":ZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWU=:");
  const InnerList covered = covered_by(answer);
  CHECK(to_string(InnerList{covered.items}) ==
        R"(("@status" "content-type" "content-digest" "ptth-exporter" "@method";req )"
        R"("@authority";req "@path";req "ptth-challenge";req))");
  CHECK(std::get<int64_t>(*find(covered.parameters, "created")) == kNow);
  CHECK(std::get<int64_t>(*find(covered.parameters, "expires")) == kNow + 60);
  CHECK(text_parameter(covered, "keyid") == key.name());
  CHECK(text_parameter(covered, "alg") == key.algorithm());
  CHECK(text_parameter(covered, "nonce") == "AAECAwQFBgcICQoLDA0ODw==");
  CHECK(text_parameter(covered, "tag") == "ptth-challenge");
  const std::string base =
      "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": " +
      answer.field("content-digest") + "\n\"ptth-exporter\": " + answer.field("ptth-exporter") +
      "\n\"@method\";req: GET\n\"@authority\";req: gw.test\n"
      "\"@path\";req: /.well-known/ptth-challenge\n\"ptth-challenge\";req: " +
      kNonce + "\n\"@signature-params\": " + to_string(covered);
  const auto signatures = ptth::structured::parse_dictionary(answer.field("signature"));
  const auto& signature = std::get<Item>(*find(signatures.value(), "ptth"));
  CHECK(key.verify(base, std::get<ptth::structured::ByteSequence>(signature.value).bytes));
  CHECK(stage.count("answered") == 1);
  CHECK(stage.inner.calls.empty());
}

TEST_CASE("a challenge is answered with a bearer token, read anew each time") {
  const WithToken with;
  ChallengeStage stage(with.options);
  const Answer answer = stage.ask(question(""));
  CHECK(answer.head.status == 200);
  CHECK(answer.body ==
        "{\"worker\":\"ptth-agent-00000000\",\"prefixes\":[\"/\"],\"token_type\":\"Bearer\","
        "\"access_token\":\"t0ken-of-the-worker\"}\n");
  CHECK(answer.field("cache-control") == "no-store");
  CHECK(answer.field("signature") == "none");
  write_file(with.options.token_file, "another");
  CHECK(stage.ask(question()).body.find("\"another\"") != std::string::npos);
}

TEST_CASE("a token is given only before the first other request on its connection") {
  const WithToken with;
  ChallengeStage stage(with.options);
  CHECK(stage.ask(question()).head.status == 200);
  RequestHead other = question();
  other.authority = "app.example";
  stage.ask(other);
  const Answer late = stage.ask(question());
  CHECK(late.head.status == 403);
  CHECK(late.body.find(kToken) == std::string::npos);
  stage.connect();
  CHECK(stage.ask(question()).head.status == 200);
}

TEST_CASE("a signature is given at any time") {
  const WithKey with;
  ChallengeStage stage(with.options);
  RequestHead other = question();
  other.path = "/";
  stage.ask(other);
  CHECK(stage.ask(question()).head.status == 200);
}

TEST_CASE("only the gateway itself is asked for, by the name that TLS has verified") {
  const WithKey with;
  ChallengeStage stage(with.options);
  for (const std::string authority :
       {"gw.test", "GW.Test", "gw.test.", "gw.test:443", "gw.test:8443"}) {
    CAPTURE(authority);
    RequestHead head = question();
    head.authority = authority;
    CHECK(stage.ask(head).head.status == 200);
  }
  CHECK(stage.inner.calls.empty());
  size_t passed_on = 0;
  for (const std::string authority :
       {"app.example", "x.gw.test", "gw.test:80", "gw.tes", "", "gw.test:99999"}) {
    CAPTURE(authority);
    RequestHead head = question();
    head.authority = authority;
    stage.ask(head);
    CHECK(stage.inner.calls.size() == ++passed_on);
  }
  RequestHead head = question();
  head.path += "/more";
  stage.ask(head);
  CHECK(stage.inner.calls.size() == ++passed_on);
}

TEST_CASE("the authority is signed without the port of https, with another") {
  const WithKey with;
  ChallengeStage stage(with.options);
  const SignatureKey key =
      SignatureKey::read_public("", write_file(with.dir.file("public"), with.pair.public_pem))
          .value();
  for (const auto& [asked, is_signed] :
       {std::pair("GW.test:443", "gw.test"), std::pair("gw.test:8443", "gw.test:8443")}) {
    RequestHead head = question();
    head.authority = asked;
    const Answer answer = stage.ask(head);
    const auto value_of = [&, signed_authority = std::string(is_signed)](
                              std::string_view name, ComponentOf) -> std::optional<std::string> {
      if (name == "@status") return "200";
      if (name == "@method") return "GET";
      if (name == "@authority") return signed_authority;
      if (name == "@path") return "/.well-known/ptth-challenge";
      if (name == "ptth-challenge") return kNonce;
      return answer.field(name);
    };
    const auto base = ptth::signature_base(covered_by(answer), value_of);
    const auto signatures = ptth::structured::parse_dictionary(answer.field("signature"));
    const auto& signature = std::get<Item>(*find(signatures.value(), "ptth"));
    CHECK(
        key.verify(base.value(), std::get<ptth::structured::ByteSequence>(signature.value).bytes));
  }
}

TEST_CASE("a gateway that is dialled by its address is asked for by that") {
  const WithKey with;
  ChallengeStage stage(with.options);
  ptth::ChallengeParameters parameters;
  parameters.host = "2001:DB8:0::1";
  parameters.exporter = stage.exporter;
  stage.origin = ptth::make_challenge_origin({stage.loop, stage.inner, stage.log, stage.metrics},
                                             stage.options, std::move(parameters));
  RequestHead head = question();
  head.authority = "[2001:db8::1]";
  CHECK(stage.ask(head).head.status == 200);
}

TEST_CASE("a question that is not as it has to be is refused, and never reaches the origin") {
  const WithKey with;
  ChallengeStage stage(with.options);
  stage.options.rate = {100, 1};
  stage.connect();
  const auto status = [&](const RequestHead& head) { return stage.ask(head).head.status; };
  RequestHead head = question();
  head.method = "POST";
  CHECK(stage.ask(head).field("allow") == "GET");
  CHECK(status(head) == 405);
  head = question();
  head.path += "?a=1";
  CHECK(status(head) == 400);
  head = question();
  head.scheme = "http";
  CHECK(status(head) == 400);
  head = question();
  head.body = BodyKind::kUnknown;
  CHECK(status(head) == 400);
  head = question();
  head.body = BodyKind::kLength;
  head.content_length = 1;
  CHECK(status(head) == 400);
  const std::string too_long(92, 'A');
  for (const std::string& nonce :
       {std::string(), std::string("AAECAwQFBgcICQoLDA0ODw=="), std::string(":AAEC:"),
        std::string("\"AAECAwQFBgcICQoLDA0ODw==\""), kNonce + ";a", kNonce + ", " + kNonce,
        ":" + too_long + ":"}) {
    CAPTURE(nonce);
    CHECK(status(question(nonce)) == 400);
  }
  head = question();
  head.fields.add("ptth-challenge", kNonce);
  CHECK(status(head) == 400);
  CHECK(stage.count("refused") == 14);
  CHECK(stage.inner.calls.empty());
}

TEST_CASE("the answer to HEAD has no body") {
  const WithKey with;
  ChallengeStage stage(with.options);
  RequestHead head = question();
  head.method = "HEAD";
  const Answer answer = stage.ask(head);
  CHECK(answer.head.status == 405);
  CHECK(answer.head.body == BodyKind::kNone);
  CHECK(answer.body.empty());
}

TEST_CASE("what was forwarded for somebody is not answered") {
  const WithKey with;
  ChallengeStage stage(with.options);
  for (const auto& [name, value] :
       {std::pair("via", "1.1 gw.test, 2.0 ptth-agent-00000000"),
        std::pair("x-forwarded-for", "192.0.2.1"), std::pair("forwarded", "for=192.0.2.1")}) {
    CAPTURE(name);
    RequestHead head = question();
    head.fields.add(name, value);
    CHECK(stage.ask(head).head.status == 403);
  }
  CHECK(stage.inner.calls.empty());
}

TEST_CASE("the body of a refused question is taken, so that its credit returns") {
  const WithKey with;
  ChallengeStage stage(with.options);
  RequestHead head = question();
  head.body = BodyKind::kUnknown;
  Answer answer;
  const auto call = stage.origin->start(head, answer, {});
  const std::string text = "0123456789";
  call->write_body({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  call->end_body({});
  stage.loop.turn();
  CHECK(answer.taken == text.size());
  CHECK(answer.head.status == 400);
  CHECK(answer.ended);
}

TEST_CASE("questions are limited by their rate, on each connection") {
  const WithKey with;
  ChallengeOptions options = with.options;
  options.rate = {2, 1};
  ChallengeStage stage(options);
  CHECK(stage.ask(question("")).head.status == 400);
  CHECK(stage.ask(question()).head.status == 200);
  CHECK(stage.ask(question()).head.status == 200);
  const Answer limited = stage.ask(question());
  CHECK(limited.head.status == 429);
  CHECK(limited.field("retry-after") == "1");
  CHECK(stage.count("limited") == 1);
  stage.loop.advance(Milliseconds(3'000));
  CHECK(stage.ask(question()).head.status == 200);
}

TEST_CASE("what cannot be answered is a 503 that says nothing of why") {
  const auto check = [](ChallengeStage& stage) {
    const Answer answer = stage.ask(question());
    CHECK(answer.head.status == 503);
    CHECK(answer.body == "This worker cannot answer now.\n");
    CHECK(answer.field("retry-after") == "1");
    CHECK(stage.count("failed") == 1);
    CHECK(stage.inner.calls.empty());
  };
  SUBCASE("a key that is away") {
    ChallengeOptions options;
    options.key_file = "/nowhere/key";
    ChallengeStage stage(options);
    check(stage);
  }
  SUBCASE("a token that is none") {
    const WithToken with;
    write_file(with.options.token_file, "two words");
    ChallengeStage stage(with.options);
    check(stage);
  }
  SUBCASE("TLS that has nothing of its own to sign") {
    const WithKey with;
    ChallengeStage stage(with.options);
    stage.exporter.reset();
    stage.connect();
    check(stage);
  }
}

TEST_CASE("prefixes are listed in the answer, and other paths are misdirected") {
  const WithKey with;
  ChallengeOptions options = with.options;
  options.prefixes = {"/shop/", "/q\"uote"};
  options.key_id = "shop-1";
  ChallengeStage stage(options);
  const Answer answer = stage.ask(question());
  CHECK(answer.body ==
        "{\"worker\":\"ptth-agent-00000000\",\"prefixes\":[\"/shop/\",\"/q\\\"uote\"]}\n");
  CHECK(text_parameter(covered_by(answer), "keyid") == "shop-1");
  RequestHead head = question();
  head.authority = "app.example";
  head.path = "/shop/cart";
  stage.ask(head);
  CHECK(stage.inner.calls.size() == 1);
  head.path = "/admin";
  const Answer outside = stage.ask(head);
  REQUIRE(outside.failure.has_value());
  CHECK(outside.failure->kind == ptth::ErrorKind::kMisdirected);
  CHECK(stage.inner.calls.size() == 1);
}
