// A link whose gateway keeps the hello until it has a request (ptth-1.0).

#include "tests/support/hello_transcript.h"
#include "tests/unit/link_stage.h"

#include <string>

#include <doctest/doctest.h>

using ptth::GatewayOptions;
using ptth::HelloOptions;
using ptth::Milliseconds;
using namespace ptth::test;

namespace {

const std::string kYes = "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n";
const std::string kGet = "GET / HTTP/1.1\r\nHost: gw\r\n\r\n";
const std::string kHello =
    "POST /worker1 HTTP/1.1\r\nhost: gw.example\r\nconnection: upgrade\r\nupgrade: PTTH/1.0\r\n"
    "content-length: 0\r\n\r\n";

struct PollStage : LinkStage {
  // A link that is held by its gateway.
  Wire& held(GatewayOptions options = {}) {
    options.hello.uri = "https://gw.example/worker1";
    make(options,
         ptth::make_ptth_1_0_profile(hello_spec(options.hello, ptth::ptth_1_0_hello()), {}));
    link->start();
    loop.turn();
    Wire& wire = connect();
    loop.advance(Milliseconds(199));
    CHECK(link->state() == kReversing);
    loop.advance(Milliseconds(1));
    REQUIRE(link->state() == kAttached);
    states.clear();
    return wire;
  }

  void on_link_load_changed(const ptth::Link& changed) override {
    loads.push_back(changed.exchanges_in_flight());
  }

  std::vector<size_t> loads;
};

}  // namespace

TEST_CASE_FIXTURE(PollStage, "a gateway that keeps the hello has the link, for one exchange") {
  Wire& wire = held();
  CHECK(wire.written == kHello);
  CHECK(link->carries_one_exchange());
  loop.advance(Milliseconds(200'000));
  CHECK(link->state() == kAttached);
  wire.say(kYes + kGet);
  loop.turn();
  CHECK(origin.started == 1);
  CHECK(link->exchanges_in_flight() == 1);
  origin.answer_all();
  loop.turn();
  CHECK(wire.written.substr(kHello.size()).starts_with("HTTP/1.1 204 "));
  CHECK(loads == std::vector<size_t>{1, 0});
  CHECK(states.empty());
}

TEST_CASE_FIXTURE(PollStage,
                  "a gateway that has nothing for us is asked again where it keeps alive") {
  Wire& wire = held();
  loop.advance(Milliseconds(30'000));
  wire.say("HTTP/1.1 204 x\r\n\r\n");
  loop.turn();
  loop.advance(Milliseconds(0));
  CHECK(wire.written == kHello + kHello);
  CHECK(link->state() == kAttached);
  wire.say(kYes + kGet);
  loop.turn();
  CHECK(origin.started == 1);
  CHECK(states.empty());
}

TEST_CASE_FIXTURE(PollStage, "and on another connection where it does not") {
  Wire& wire = held();
  loop.advance(Milliseconds(30'000));
  wire.say("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n");
  loop.turn();
  CHECK(states == States{kBackingOff});
  CHECK(link->last_error().empty());
  CHECK(count("ptth_link_redials", {{"cause", "asked_again"}}) == 1);
  loop.advance(Milliseconds(10));
  CHECK(connect().written == kHello);
}

TEST_CASE_FIXTURE(PollStage, "a gateway that closes what it held is dialled again at once") {
  Wire& wire = held();
  wire.end();
  loop.turn();
  CHECK(states == States{kBackingOff});
  CHECK(link->last_error().empty());
  CHECK(count("ptth_link_redials", {{"cause", "closed"}}) == 1);
}

TEST_CASE_FIXTURE(PollStage, "a redirect is followed, also after a long wait") {
  GatewayOptions options;
  options.hello.redirect_hosts = {"gw2.example"};
  Wire& wire = held(options);
  wire.say("HTTP/1.1 307 x\r\nLocation: https://gw2.example/w\r\nContent-Length: 0\r\n\r\n");
  loop.turn();
  loop.advance(Milliseconds(10));
  CHECK(network.asked() == "gw2.example:443");
  CHECK(connect().written.starts_with("POST /w HTTP/1.1\r\nhost: gw2.example\r\n"));
}

TEST_CASE_FIXTURE(PollStage, "a no that comes late is a failure all the same") {
  Wire& wire = held();
  wire.say("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n");
  loop.turn();
  CHECK(states == States{kBackingOff});
  CHECK(link->credentials_refused());
}

TEST_CASE_FIXTURE(PollStage, "a hello that stays unanswered for too long is said anew") {
  GatewayOptions options;
  options.hello.poll_timeout = Milliseconds(60'000);
  Wire& wire = held(options);
  loop.advance(Milliseconds(59'799));
  CHECK(link->state() == kAttached);
  loop.advance(Milliseconds(1));
  CHECK(link->state() == kBackingOff);
  CHECK(wire.destroyed);
  loop.advance(Milliseconds(10));
  CHECK(connect().written == kHello);
}

TEST_CASE_FIXTURE(PollStage, "a link that is held leaves at once, one that answers when it has") {
  held();
  link->drain();
  loop.turn();
  CHECK(link->state() == kClosed);

  Wire& wire = held();
  wire.say(kYes + kGet);
  loop.turn();
  link->drain();
  loop.turn();
  CHECK(link->state() == kDraining);
  origin.answer_all();
  loop.turn();
  CHECK(wire.written.find("204") != std::string::npos);
  wire.end();
  loop.turn();
  CHECK(link->state() == kClosed);
}
