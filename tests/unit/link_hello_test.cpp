// What a link makes of the answers to its hello: when it dials again, and where.

#include "tests/support/hello_transcript.h"
#include "tests/unit/link_stage.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::EnvoyOptions;
using ptth::Error;
using ptth::ErrorKind;
using ptth::GatewayOptions;
using ptth::HelloOptions;
using ptth::LinkState;
using ptth::make_envoy_profile;
using ptth::make_ptth_profile;
using ptth::Milliseconds;
using ptth::Result;
using ptth::SecretField;
using ptth::Side;
using namespace ptth::test;

namespace {

const std::string kNo = "\r\nContent-Length: 0\r\n\r\n";

struct HelloStage : LinkStage {
  void begin(const GatewayOptions& options = {}) {
    make(options, make_ptth_profile(hello_spec(options.hello), {}));
    link->start();
    loop.turn();
  }

  // The dial that is under way ends with this answer to its hello.
  void answer(const std::string& text, LinkState state = kReversing) {
    connect();
    REQUIRE(link->state() == state);
    wires.back().say(text);
    loop.turn();
  }

  // The bound of the wait: random numbers are the largest that are allowed.
  [[nodiscard]] int64_t wait() {
    REQUIRE(link->state() == kBackingOff);
    int64_t waited = 0;
    for (; link->state() == kBackingOff && waited < 1'000'000; ++waited)
      loop.advance(Milliseconds(1));
    return waited;
  }

  void dial_again() {
    loop.advance(Milliseconds(10));
    REQUIRE(link->state() == kResolving);
  }
};

std::string to(const std::string& location) {
  return "HTTP/1.1 307 x\r\nLocation: " + location + kNo;
}

}  // namespace

TEST_CASE_FIXTURE(HelloStage, "a link is attached behind a hello and its yes") {
  begin();
  connect();
  CHECK(wires.back().written.starts_with("GET /.well-known/ptth/"));
  wires.back().say("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: ptth\r\n\r\n" + kMagic +
                   kSettings + kSettingsAck);
  loop.turn();
  CHECK(link->state() == kAttached);
}

TEST_CASE_FIXTURE(HelloStage, "credentials that are refused are told from a gateway that is full") {
  begin();
  answer("HTTP/1.1 403 x" + kNo);
  CHECK(link->credentials_refused());
  CHECK(count("ptth_link_failures", {{"reason", "refused"}}) == 1);
  CHECK(wait() >= 5'000);
  answer("HTTP/1.1 503 x" + kNo);
  CHECK_FALSE(link->credentials_refused());
  CHECK(count("ptth_link_failures", {{"reason", "unavailable"}}) == 1);
  CHECK(link->last_error().find("no room") != std::string::npos);
}

TEST_CASE_FIXTURE(HelloStage, "credentials that arrive end the wait of a link that lacked them") {
  bool has_token = false;
  const auto credentials = [&]() -> Result<std::vector<SecretField>> {
    if (has_token) return std::vector<SecretField>{};
    return Error{ErrorKind::kRefused, Side::kLocal, "there is no access token yet", true};
  };
  const GatewayOptions options;
  make(options, make_ptth_profile(hello_spec(options.hello), credentials));
  link->start();
  loop.turn();
  connect();
  REQUIRE(link->state() == kBackingOff);
  CHECK(link->last_error() == "there is no access token yet");
  CHECK(link->credentials_refused());
  loop.advance(Milliseconds(1'000));
  has_token = true;
  link->credentials_arrived();
  loop.advance(Milliseconds(499));
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(1));
  REQUIRE(link->state() == kResolving);
  answer("HTTP/1.1 503 x" + kNo);
  // This failure has nothing to do with credentials, and its wait stays a second.
  loop.advance(Milliseconds(400));
  link->credentials_arrived();
  loop.advance(Milliseconds(599));
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(1));
  CHECK(link->state() == kResolving);
}

TEST_CASE_FIXTURE(HelloStage, "a hello that only a person can mend is not repeated soon") {
  begin();
  answer("HTTP/1.1 404 x" + kNo);
  CHECK(link->last_error().find("--hello-template") != std::string::npos);
  CHECK_FALSE(link->credentials_refused());
  CHECK(count("ptth_link_failures", {{"reason", "configuration"}}) == 1);
  CHECK(wait() >= 5'000);
}

TEST_CASE_FIXTURE(HelloStage, "Retry-After is kept, within our own bound") {
  GatewayOptions options;
  options.backoff.retry_after_max = Milliseconds(60'000);
  begin(options);
  answer("HTTP/1.1 503 x\r\nRetry-After: 20" + kNo);
  CHECK(wait() == 20'000 + 500);
  answer("HTTP/1.1 429 x\r\nRetry-After: 86400" + kNo);
  CHECK(wait() == 60'000 + 1'000);
  answer(
      "HTTP/1.1 503 x\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
      "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT" +
      kNo);
  CHECK(wait() == 30'000 + 2'000);
}

TEST_CASE_FIXTURE(HelloStage, "a redirect is dialled at once, where it leads") {
  GatewayOptions options;
  options.hello.redirect_hosts = {"gw2.example"};
  begin(options);
  CHECK(network.asked() == "gw.example:443");
  answer(to("https://gw2.example:8443/there"));
  CHECK(link->last_error().empty());
  dial_again();
  CHECK(network.asked() == "gw2.example:8443");
  connect();
  CHECK(wires.back().written.starts_with("GET /there HTTP/1.1\r\nhost: gw2.example:8443\r\n"));
  CHECK(count("ptth_link_redials", {{"cause", "redirected"}}) == 1);

  // From there, a path is one of that place.
  wires.back().say(to("/elsewhere"));
  loop.turn();
  dial_again();
  CHECK(network.asked() == "gw2.example:8443");
  connect();
  CHECK(wires.back().written.starts_with("GET /elsewhere HTTP/1.1\r\nhost: gw2.example:8443\r\n"));
}

TEST_CASE_FIXTURE(HelloStage, "a redirect holds for one dial, and the next begins anew") {
  GatewayOptions options;
  options.hello.redirect_hosts = {"gw2.example"};
  begin(options);
  answer(to("https://gw2.example/"));
  dial_again();
  answer("HTTP/1.1 503 x" + kNo);
  CHECK(wait() > 0);
  CHECK(network.asked() == "gw.example:443");
  connect();
  CHECK(wires.back().written.starts_with("GET /.well-known/ptth/"));
}

TEST_CASE_FIXTURE(HelloStage, "the same name is dialled where the configuration has it") {
  GatewayOptions options;
  options.host = "dial.example";
  options.server_name = "gw.example";
  options.port = 4443;
  begin(options);
  CHECK(network.asked() == "dial.example:4443");
  answer(to("/b"));
  dial_again();
  CHECK(network.asked() == "dial.example:4443");
  answer(to("https://gw.example:9/b"));
  dial_again();
  CHECK(network.asked() == "dial.example:9");
}

TEST_CASE_FIXTURE(HelloStage, "redirects come to an end") {
  GatewayOptions options;
  options.hello.redirects_max = 2;
  begin(options);
  for (int round = 0; round < 2; ++round) {
    answer(to("/b"));
    CHECK(link->last_error().empty());
    dial_again();
  }
  answer(to("/b"));
  CHECK(link->last_error().find("from place to place") != std::string::npos);
  CHECK(wait() >= 5'000);
  // And are counted anew.
  answer(to("/b"));
  CHECK(count("ptth_link_redials", {{"cause", "redirected"}}) == 3);
}

TEST_CASE_FIXTURE(HelloStage, "no redirects at all may be allowed") {
  GatewayOptions options;
  options.hello.redirects_max = 0;
  begin(options);
  answer(to("/b"));
  CHECK(link->last_error().find("from place to place") != std::string::npos);
}

TEST_CASE_FIXTURE(HelloStage, "a gateway that gave up waiting and closed is dialled at once") {
  begin();
  for (int round = 0; round < 20; ++round) {
    connect();
    for (int second = 0; second < 5; ++second) {
      loop.advance(Milliseconds(1'000));
      wires.back().say("HTTP/1.1 100 Continue\r\n\r\n");
    }
    wires.back().say("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n");
    loop.turn();
    CHECK(link->last_error().empty());
    dial_again();
  }
  CHECK(count("ptth_link_redials", {{"cause", "asked_again"}}) == 20);
}

TEST_CASE_FIXTURE(HelloStage,
                  "a gateway that gives up at once, over and over, is backed off from") {
  begin();
  int at_once = 0;
  while (link->last_error().empty()) {
    answer("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n");
    if (link->last_error().empty()) dial_again();
    REQUIRE(++at_once < 10);
  }
  CHECK(link->last_error().find("over and over") != std::string::npos);
}

TEST_CASE_FIXTURE(HelloStage, "a connection that an Envoy keeps for later is attached") {
  const auto dial = [this] {
    EnvoyOptions envoy;
    envoy.node_id = "n";
    envoy.cluster_id = "c";
    make({}, make_envoy_profile(hello_spec({}, ptth::envoy_hello({})), {}, envoy));
    link->start();
    loop.turn();
    answer("HTTP/1.1 200 x" + kNo);
    REQUIRE(link->state() == kAttached);
  };
  dial();
  CHECK(wires.back().written.find("x-envoy-reverse-tunnel-node-id: n\r\n") != std::string::npos);
  // For as long as it is kept alive.
  for (int second = 0; second < 120; ++second) {
    wires.back().say("RPING");
    loop.advance(Milliseconds(1'000));
  }
  CHECK(link->state() == kAttached);
  wires.back().say(kMagic + kSettings + kSettingsAck + kRequest);
  loop.turn();
  CHECK(link->state() == kAttached);
  CHECK(origin.started == 1);
  origin.answer_all();
  CHECK(count("ptth_link_attaches") == 1);

  // Unused, it may be closed by either side at any time.
  dial();
  wires.back().end();
  loop.turn();
  CHECK(link->last_error().empty());
  CHECK(count("ptth_link_redials", {{"cause", "closed"}}) == 1);
  dial();
  link->drain();
  loop.turn();
  CHECK(link->state() == kClosed);
  CHECK(wires.back().destroyed);

  // Or be replaced.
  dial();
  Wire& old = wires.back();
  link->renew("new credentials");
  loop.turn();
  loop.advance(Milliseconds(5'000));
  answer("HTTP/1.1 200 x" + kNo, kAttached);
  CHECK(link->state() == kAttached);
  CHECK(old.destroyed);
  CHECK_FALSE(wires.back().destroyed);

  // A session that does not come to stand is a failure.
  dial();
  wires.back().say(kMagic);
  loop.advance(Milliseconds(10'000));
  CHECK(link->state() == kBackingOff);
  CHECK_FALSE(link->last_error().empty());
}

TEST_CASE_FIXTURE(HelloStage, "the time for a hello starts anew while the gateway makes us wait") {
  GatewayOptions options;
  options.hello_timeout = Milliseconds(3'000);
  begin(options);
  connect();
  for (int round = 0; round < 10; ++round) {
    loop.advance(Milliseconds(2'999));
    REQUIRE(link->state() == kReversing);
    wires.back().say("HTTP/1.1 100 Continue\r\n\r\n");
  }
  loop.advance(Milliseconds(2'999));
  CHECK(link->state() == kReversing);
  loop.advance(Milliseconds(1));
  CHECK(link->state() == kBackingOff);
  CHECK(link->last_error().find("the hello with") != std::string::npos);
}

TEST_CASE_FIXTURE(HelloStage, "a link that is drained within its hello, or its detour, is closed") {
  GatewayOptions options;
  begin(options);
  connect();
  link->drain();
  loop.turn();
  CHECK(link->state() == kClosed);
  CHECK(wires.back().destroyed);
  begin(options);
  answer(to("/b"));
  link->drain();
  loop.turn();
  CHECK(link->state() == kClosed);
}
