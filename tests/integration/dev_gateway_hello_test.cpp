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

HelloVerdict judge(const std::string& text, const HelloRules& rules = {},
                   const std::string& certificate = {}) {
  Http1RequestParser parser(Scheme::kHttps, {}, Side::kOrigin);
  parser.start();
  Bytes bytes = test::bytes_of(text);
  REQUIRE(parser.next(bytes) == Http1Event::kHead);
  return judge_hello(rules, {parser.head(), parser.upgrade(), certificate});
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

HelloVerdict answered(int status) {
  HelloVerdict verdict;
  verdict.status = status;
  verdict.text = "why";
  return verdict;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Fixture : WorkerHello::Listener {
  virtual ~Fixture() = default;

  void on_hello_accepted(WorkerHello&, const HelloVerdict&,
                         std::unique_ptr<ByteStream> accepted) override {
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
  CHECK(contains(judge(hello(kOrigin, "ALPN: h3\r\n")).text, "neither h2 nor http/1.1"));
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
  rules.origins.allowed = {parse_registration("https://app.example")};
  CHECK(judge(hello(), rules).status == 101);
  const HelloVerdict other = judge(at("https%3A%2F%2Fapp.example,https%3A%2F%2Fb.example"), rules);
  CHECK(other.status == 403);
  CHECK(contains(other.text, "https://b.example"));

  rules.credentials.tokens = {Secret(std::string("old")), Secret(std::string("t0ken"))};
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
  CHECK(hello_answer({}, answered(101)) ==
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ptth\r\n"
        "ALPN: h2\r\n\r\n");
  CHECK(contains(hello_answer(reverse_rules(), answered(101)), "\r\nSelected-ALPN: h2\r\n"));
  CHECK(hello_answer({}, answered(204)) == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(contains(hello_answer({}, answered(401)), "WWW-Authenticate: Bearer\r\n"));
  CHECK(
      contains(hello_answer({}, answered(426)), "Upgrade: ptth\r\nConnection: upgrade, close\r\n"));
  CHECK(contains(hello_answer({}, answered(503)), "Retry-After: 1\r\n"));
  CHECK(contains(hello_answer({}, answered(404)), "Content-Length: 4\r\n\r\nwhy\n"));
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

TEST_CASE_FIXTURE(Fixture, "a 307 by fault sends the worker where it came from") {
  WorkerHello::Options options;
  options.fault_status = 307;
  begin(std::move(options));
  wire.say(hello());
  CHECK(contains(wire.written, "HTTP/1.1 307 "));
  CHECK(contains(wire.written, "\r\nLocation: https://gw.test" + kOrigin + "\r\n"));
}

TEST_CASE("the channel is h2 where it is offered, or the other one where that is preferred") {
  const auto channel = [](const std::string& offered, Channel preferred, WorkerProfile profile) {
    HelloRules rules;
    rules.profile = profile;
    rules.preferred = preferred;
    const std::string path = profile == WorkerProfile::kPtth ? kOrigin : "/any";
    const HelloVerdict verdict =
        judge(hello(path, offered, profile == WorkerProfile::kPtth ? "ptth" : "reverse"), rules);
    REQUIRE(verdict.status == 101);
    return std::pair(std::string(to_string(verdict.channel)), hello_answer(rules, verdict));
  };
  const std::string both = "ALPN: http%2F1.1, h2\r\n";
  const std::string one = "ALPN: http%2F1.1\r\n";
  CHECK(channel(both, Channel::kHttp2, WorkerProfile::kPtth).first == "h2");
  CHECK(channel(both, Channel::kHttp1, WorkerProfile::kPtth).first == "http/1.1");
  CHECK(channel("ALPN: h2\r\n", Channel::kHttp1, WorkerProfile::kPtth).first == "h2");
  CHECK(channel(one, Channel::kHttp2, WorkerProfile::kReverse).first == "http/1.1");
  CHECK(channel("", Channel::kHttp2, WorkerProfile::kReverse).first == "h2");
  CHECK(contains(channel(one, Channel::kHttp2, WorkerProfile::kPtth).second,
                 "\r\nALPN: http%2F1.1\r\n"));
  CHECK(contains(channel(one, Channel::kHttp2, WorkerProfile::kReverse).second,
                 "\r\nSelected-ALPN: http%2F1.1\r\n"));
}

TEST_CASE("an origin may be for one worker only, by the name of its certificate or of its user") {
  HelloRules rules;
  rules.origins.allowed = {parse_registration("ann=https://app.example")};
  CHECK(judge(hello(), rules, "ann").status == 101);
  const HelloVerdict other = judge(hello(), rules, "bob");
  CHECK(other.status == 403);
  CHECK(contains(other.text, "the worker bob may not register https://app.example"));
  rules.credentials.users = {{"ann", Secret(std::string("YW5uOnNlY3JldA=="))},
                             {"bob", Secret(std::string("Ym9iOnNlY3JldA=="))}};
  const auto as = [&](const std::string& pair) {
    return judge(hello(kOrigin, "ALPN: h2\r\nAuthorization: Basic " + pair + "\r\n"), rules);
  };
  CHECK(as("YW5uOnNlY3JldA==").worker == "ann");
  CHECK(as("Ym9iOnNlY3JldA==").status == 403);
  CHECK(as("YW5uOndyb25n").status == 401);
}

TEST_CASE("every credential that was agreed on must be there, once, and right") {
  HelloRules rules;
  rules.credentials.tokens = {Secret(std::string("old")), Secret(std::string("t0ken"))};
  rules.credentials.headers = {{"x-one", Secret(std::string("1"))},
                               {"x-two", Secret(std::string("2"))}};
  const auto why = [&](const std::string& fields) {
    const HelloVerdict verdict = judge(hello(kOrigin, "ALPN: h2\r\n" + fields), rules);
    CHECK(verdict.status == (verdict.is_yes() ? 101 : 401));
    return verdict.text;
  };
  const std::string bearer = "Authorization: Bearer t0ken\r\n";
  CHECK(why(bearer + "X-One: 1\r\nX-Two: 2\r\n") == "https://app.example");
  CHECK(why(bearer + "X-One: 1\r\n") == "no credentials: the field x-two is missing");
  CHECK(why(bearer + "X-One: 2\r\nX-Two: 2\r\n") ==
        "the field x-one does not say what was agreed on");
  CHECK(contains(why(bearer + "X-One: 1\r\nX-One: 1\r\nX-Two: 2\r\n"), "more than once"));
  CHECK(contains(why(bearer + bearer + "X-One: 1\r\nX-Two: 2\r\n"), "more than once"));
  CHECK(why("Authorization: Basic t0ken\r\nX-One: 1\r\nX-Two: 2\r\n") ==
        "other credentials than a bearer token");
  CHECK(contains(hello_answer(rules, answered(401)), "\r\nWWW-Authenticate: Bearer\r\n"));
  rules.credentials.users = {{"ann", Secret(std::string("YW5uOnNlY3JldA=="))}};
  CHECK(contains(hello_answer(rules, answered(401)), "\r\nWWW-Authenticate: Basic realm="));
  CHECK(contains(why("X-One: 1\r\n"), "a bearer token, or user and password"));
}

namespace {

const std::string kIds =
    "X-Envoy-Reverse-Tunnel-Node-Id: node-1\r\nX-Envoy-Reverse-Tunnel-Cluster-Id: edge\r\n"
    "X-Envoy-Reverse-Tunnel-Tenant-Id: \r\n";

std::string envoy_hello(const std::string& fields = kIds,
                        const std::string& line = "GET /reverse_connections/request") {
  return line + " HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0\r\n" + fields + "\r\n";
}

HelloRules envoy_rules() {
  HelloRules rules;
  rules.profile = WorkerProfile::kEnvoy;
  return rules;
}

}  // namespace

TEST_CASE("envoy: in plain mode the answer is 200, in upgrade mode 101, and both must agree") {
  HelloRules rules = envoy_rules();
  const std::string upgrade = "Connection: Upgrade\r\nUpgrade: reverse-tunnel\r\n";
  HelloVerdict verdict = judge(envoy_hello(), rules);
  CHECK(verdict.worker == "node-1");
  CHECK(hello_answer(rules, verdict) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  CHECK(judge(envoy_hello(kIds + upgrade), rules).status == 400);
  rules.envoy.mode = EnvoyRules::Mode::kUpgrade;
  CHECK(judge(envoy_hello(), rules).status == 426);
  verdict = judge(envoy_hello(kIds + upgrade), rules);
  CHECK(contains(hello_answer(rules, verdict), "HTTP/1.1 101 Switching Protocols\r\n"));
  CHECK(contains(hello_answer(rules, verdict), "Upgrade: reverse-tunnel\r\n"));
}

TEST_CASE("envoy: each check of the filter has its own no") {
  HelloRules rules = envoy_rules();
  const auto begin = [](const std::string& node, const std::string& cluster,
                        const std::string& tenant) {
    return "X-Envoy-Reverse-Tunnel-Node-Id: " + node +
           "\r\nX-Envoy-Reverse-Tunnel-Cluster-Id: " + cluster +
           "\r\nX-Envoy-Reverse-Tunnel-Tenant-Id: " + tenant + "\r\n";
  };
  const auto why = [&](const std::string& fields, int status = 400) {
    const HelloVerdict verdict = judge(envoy_hello(fields), rules, "worker-1");
    CHECK(verdict.status == status);
    return verdict.text;
  };
  CHECK(judge(envoy_hello(kIds, "POST /reverse_connections/request"), rules).status == 404);
  CHECK(judge(envoy_hello(kIds, "GET /other"), rules).status == 404);
  CHECK(contains(why(""), "x-envoy-reverse-tunnel-node-id is missing"));
  CHECK(contains(why(begin("", "edge", "")), "node-id is empty"));
  CHECK(contains(why(begin("node-1", "", "")), "cluster-id is empty"));
  CHECK(
      contains(why("X-Envoy-Reverse-Tunnel-Node-Id: a\r\nX-Envoy-Reverse-Tunnel-Cluster-Id: b\r\n"),
               "tenant-id is missing"));
  CHECK(contains(why(kIds + "X-Envoy-Reverse-Tunnel-Node-Id: b\r\n"), "more than once"));
  CHECK(contains(why(begin("edge", "edge", "")), "the cluster id is the node id"));
  CHECK(contains(why(begin("a:b", "edge", "blue")), "':'"));
  why(begin("a:b", "edge", ""), 200);
  CHECK(contains(why(kIds + "X-Envoy-Reverse-Tunnel-Initiation-Time: soon\r\n"), "no number"));
  why(kIds + "X-Envoy-Reverse-Tunnel-Initiation-Time: 1790000000000\r\n", 200);
  rules.envoy.upstream_cluster = "up";
  CHECK(contains(why(kIds), "upstream-cluster-name is missing"));
  CHECK(contains(why(kIds + "X-Envoy-Reverse-Tunnel-Upstream-Cluster-Name: down\r\n"),
                 "is down and not up"));
  rules.envoy.upstream_cluster.clear();
  rules.envoy.node_name = EnvoyRules::NodeName::kOfCertificate;
  CHECK(contains(why(kIds, 403), "the node id is node-1 and the certificate is for worker-1"));
  why(begin("worker-1", "edge", ""), 200);
  rules.credentials.tokens = {Secret(std::string("old")), Secret(std::string("t0ken"))};
  CHECK(contains(why(begin("worker-1", "edge", ""), 401), "a bearer token is expected"));
}

TEST_CASE("ptth-1.0: POST, and the worker waits for its answer") {
  HelloRules rules;
  rules.profile = WorkerProfile::kPtth10;
  const std::string text =
      "POST /a HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n"
      "Content-Length: 0\r\n\r\n";
  const HelloVerdict verdict = judge(text, rules);
  CHECK(verdict.channel == Channel::kHttp1);
  CHECK(hello_answer(rules, verdict) ==
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n");
  CHECK(judge("GET" + text.substr(4), rules).status == 405);
  CHECK(contains(hello_answer(rules, answered(405)), "Allow: POST\r\n"));
  CHECK(judge(hello("/a", "", "ptth").replace(0, 3, "POST"), rules).status == 426);
  rules.path = "/b";
  CHECK(judge(text, rules).status == 404);
}

}  // namespace ptth::dev
