#include "common/http1_request_parser.h"
#include "tests/gateway/worker_hello.h"
#include "tests/support/http1_transcript.h"
#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

const std::string kOrigin = "/.well-known/ptth/https%3A%2F%2Fapp.example/";

HelloVerdict judge(const std::string& text, const HelloRules& rules = {}) {
  Http1RequestParser parser(Scheme::kHttps, {}, Side::kOrigin);
  parser.start();
  Bytes bytes = test::bytes_of(text);
  REQUIRE(parser.next(bytes) == Http1Event::kHead);
  return judge_hello(rules, parser.head(), parser.upgrade());
}

std::string hello(const std::string& path = kOrigin, const std::string& fields = "ALPN: h2\r\n",
                  const std::string& token = "ptth") {
  return "GET " + path + " HTTP/1.1\r\nHost: gw.test\r\nConnection: upgrade\r\nUpgrade: " + token +
         "\r\n" + fields + "\r\n";
}

std::string at(const std::string& segment) {
  return hello("/.well-known/ptth/" + segment + "/");
}

HelloRules reverse_rules() {
  HelloRules rules;
  rules.profile = WorkerProfile::kReverse;
  return rules;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Fixture : WorkerHello::Listener {
  virtual ~Fixture() = default;

  void on_hello_accepted(WorkerHello&, std::unique_ptr<ByteStream> accepted) override {
    stream = std::move(accepted);
    loop.retire(std::move(worker));
  }

  void on_hello_refused(WorkerHello&, const HelloVerdict& given) override { verdict = given; }

  void on_hello_ended(WorkerHello&) override {
    loop.retire(std::move(worker));
    ended = true;
  }

  void begin(WorkerHello::Options options = {}) {
    wire = {};
    verdict.reset();
    ended = false;
    worker =
        std::make_unique<WorkerHello>(loop, test::make_scripted_stream(wire), std::move(options),
                                      static_cast<WorkerHello::Listener&>(*this));
  }

  Loop loop{ClockMode::kManual};
  test::Wire wire;
  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<WorkerHello> worker;
  std::optional<HelloVerdict> verdict;
  bool ended = false;
};

}  // namespace

TEST_CASE("a hello as the draft has it registers its origins") {
  const HelloVerdict one = judge(hello());
  CHECK(one.status == 101);
  CHECK(one.text == "https://app.example");
  CHECK(judge(at("https%3A%2F%2Fa.example,https%3A%2F%2Fb.example%3A8443")).text ==
        "https://a.example https://b.example:8443");
  CHECK(judge(hello(kOrigin, "alpn: http%2F1.1, h2\r\n", "websocket, PTTH")).status == 101);
}

TEST_CASE("each rule of the draft has its own no") {
  CHECK(judge("POST " + hello().substr(4)).status == 405);
  CHECK(judge("GET " + kOrigin + " HTTP/1.1\r\nHost: a\r\nALPN: h2\r\n\r\n").status == 426);
  CHECK(judge("GET " + kOrigin + " HTTP/1.1\r\nHost: a\r\nALPN: h2\r\nUpgrade: ptth\r\n\r\n")
            .status == 426);
  CHECK(judge(hello(kOrigin, "ALPN: h2\r\n", "reverse")).status == 426);
  CHECK(judge(hello(kOrigin, "ALPN: h2\r\nContent-Length: 3\r\n")).status == 400);
  CHECK(judge(hello(kOrigin, "ALPN: h2\r\nTransfer-Encoding: chunked\r\n")).status == 400);
  CHECK(judge(hello(kOrigin, "ALPN: h2\r\nContent-Length: 0\r\n")).status == 101);
  CHECK(contains(judge(hello(kOrigin, "")).text, "ALPN is missing"));
  CHECK(contains(judge(hello(kOrigin, "ALPN: http%2F1.1\r\n")).text, "h2 is not offered"));
  for (const char* id : {"http/1.1", "http%2f1.1", "%68%32", "h2%"}) {
    CAPTURE(id);
    CHECK(contains(judge(hello(kOrigin, "ALPN: " + std::string(id) + "\r\n")).text, "RFC 7639"));
  }
}

TEST_CASE("the origins are one segment of ASCII serializations, encoded to the byte") {
  for (const char* path : {"/", "/.well-known/ptth/", "/.well-known/ptth/a",
                           "/.well-known/ptth/a/b/", "/well-known/ptth/https%3A%2F%2Fapp.example/",
                           "/.well-known/ptth/https%3A%2F%2Fapp.example/?x"}) {
    CAPTURE(path);
    CHECK(judge(hello(path)).status == 404);
  }
  for (const char* segment :
       {"null", "app.example", "https%3a%2f%2fapp.example", "https:%2F%2Fapp.example",
        "https%3A%2F%2Fapp.example%3A443", "https%3A%2F%2FApp.example", "%68ttps%3A%2F%2Fa.example",
        "https%3A%2F%2F%2A.example", "https%3A%2F%2Fa.example,", ",", "https%3A%2F%2Fa.example%2F",
        "https%3A%2F%2Fa.example%2Chttps%3A%2F%2Fb.example", "https%3A%2F%2Fa.example%"}) {
    CAPTURE(segment);
    CHECK(judge(at(segment)).status == 400);
  }
}

TEST_CASE("a worker registers only what it may, with the token that was agreed on") {
  HelloRules rules;
  rules.origins = {"https://app.example"};
  CHECK(judge(hello(), rules).status == 101);
  const HelloVerdict other = judge(at("https%3A%2F%2Fapp.example,https%3A%2F%2Fb.example"), rules);
  CHECK(other.status == 403);
  CHECK(contains(other.text, "https://b.example"));

  rules.token = Secret(std::string("t0ken"));
  const auto with = [&](const std::string& fields) {
    return judge(hello(kOrigin, "ALPN: h2\r\n" + fields), rules).status;
  };
  CHECK(with("Authorization: Bearer t0ken\r\n") == 101);
  CHECK(with("authorization: bearer  t0ken\r\n") == 101);
  CHECK(with("") == 401);
  CHECK(with("Authorization: Basic t0ken\r\n") == 401);
  CHECK(with("Authorization: Bearer t0ken2\r\n") == 401);
  CHECK(with("Authorization: t0ken\r\n") == 401);
  // Nobody learns without it who may register what.
  CHECK(judge(at("https%3A%2F%2Fb.example"), rules).status == 401);
}

TEST_CASE("reverse: another token, an optional offer, and any path or the one that was arranged") {
  HelloRules rules = reverse_rules();
  CHECK(judge(hello("/any?x", "", "reverse"), rules).status == 101);
  CHECK(judge(hello("/any", "ALPN: h2\r\n", "reverse"), rules).status == 101);
  CHECK(judge(hello("/any", "ALPN: h3\r\n", "reverse"), rules).status == 400);
  CHECK(judge(hello("/any", "", "ptth"), rules).status == 426);
  rules.path = "/worker";
  CHECK(judge(hello("/any", "", "reverse"), rules).status == 404);
  CHECK(judge(hello("/worker", "", "reverse"), rules).status == 101);
}

TEST_CASE("the yes names the channel in the field of its draft, the no says why") {
  CHECK(hello_answer({}, {101, ""}) ==
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ptth\r\n"
        "ALPN: h2\r\n\r\n");
  CHECK(contains(hello_answer(reverse_rules(), {101, ""}), "\r\nSelected-ALPN: h2\r\n"));
  CHECK(hello_answer({}, {204, ""}) == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(contains(hello_answer({}, {401, "why"}), "WWW-Authenticate: Bearer\r\n"));
  CHECK(
      contains(hello_answer({}, {426, "why"}), "Upgrade: ptth\r\nConnection: upgrade, close\r\n"));
  CHECK(contains(hello_answer({}, {503, "why"}), "Retry-After: 1\r\n"));
  CHECK(contains(hello_answer({}, {404, "why"}), "Content-Length: 4\r\n\r\nwhy\n"));
}

TEST_CASE_FIXTURE(Fixture, "a hello in pieces is accepted, and its stream handed on") {
  begin();
  const std::string text = hello();
  for (size_t byte = 0; byte < text.size(); ++byte)
    wire.say(text.substr(byte, 1));
  REQUIRE(stream != nullptr);
  CHECK(wire.written.starts_with("HTTP/1.1 101"));
  CHECK(wire.listener == nullptr);
  loop.advance(Milliseconds(60'000));
  CHECK_FALSE(ended);
}

TEST_CASE_FIXTURE(Fixture, "a worker that does not wait for our first byte is refused") {
  begin();
  wire.say(hello() + "PRI");
  REQUIRE(verdict.has_value());
  CHECK(verdict->status == 400);
  CHECK(stream == nullptr);
  CHECK(wire.shut_down);
  wire.end();
  CHECK(ended);
}

TEST_CASE_FIXTURE(Fixture, "what is no request, or never becomes one, is refused") {
  begin();
  wire.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  REQUIRE(verdict.has_value());
  CHECK(verdict->status == 505);
  begin();
  wire.say("GET / HT");
  loop.advance(Milliseconds(10'000));
  REQUIRE(verdict.has_value());
  CHECK(verdict->status == 408);
  CHECK_FALSE(ended);
  loop.advance(Milliseconds(2'000));
  CHECK(ended);
}

TEST_CASE_FIXTURE(Fixture, "a 204 by fault lets the worker ask again on its connection") {
  WorkerHello::Options options;
  options.fault_status = 204;
  begin(std::move(options));
  wire.say(hello());
  CHECK(wire.written == "HTTP/1.1 204 No Content\r\n\r\n");
  wire.say(hello());
  CHECK(stream != nullptr);
}

}  // namespace ptth::dev
