#include "tests/unit/link_stage.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>

using ptth::ErrorKind;
using ptth::GatewayOptions;
using ptth::kLinkStateCount;
using ptth::LinkState;
using ptth::Milliseconds;
using ptth::Side;
using ptth::test::kMagic;
using ptth::test::kReset;
using ptth::test::kSettings;
using ptth::test::kSettingsAck;
using ptth::test::LinkStage;
using ptth::test::States;
using ptth::test::Wire;

using enum ptth::LinkState;

TEST_CASE_FIXTURE(LinkStage,
                  "a link takes every step from the name to attached, each in the gauge") {
  make();
  CHECK(link->state() == kIdle);
  CHECK(in_state(kIdle) == 1);
  link->start();
  CHECK(states.empty());
  loop.turn();
  CHECK(states == States{kResolving});
  resolve();
  CHECK(states == States{kResolving, kConnecting});
  Wire& wire = connect();
  CHECK(states == States{kResolving, kConnecting, kReversing, kAttaching});
  CHECK(wire.written.find(kMagic) == 0);
  wire.say(kSettings);
  loop.turn();
  CHECK(link->state() == kAttaching);
  CHECK(in_state(kAttaching) == 1);
  wire.say(kSettingsAck);
  CHECK(link->state() == kAttached);
  double links = 0;
  for (size_t state = 0; state < kLinkStateCount; ++state)
    links += in_state(static_cast<LinkState>(state));
  CHECK(links == 1);
  CHECK(in_state(kAttached) == 1);
  CHECK(count("ptth_link_dials") == 1);
  CHECK(count("ptth_link_attaches") == 1);
  link.reset();
  CHECK(in_state(kAttached) == 0);
}

TEST_CASE_FIXTURE(LinkStage, "an address in place of a name skips resolving") {
  GatewayOptions options;
  options.host = "192.0.2.7";
  make(options, ptth::make_haproxy_profile());
  link->start();
  loop.turn();
  CHECK(states == States{kConnecting});
}

TEST_CASE_FIXTURE(LinkStage, "direct: the gateway's magic comes before the session") {
  reach(kReversing);
  Wire& wire = wires.back();
  CHECK(wire.written.empty());
  wire.say(kMagic + kSettings);
  loop.turn();
  CHECK(link->state() == kAttaching);
  wire.say(kSettingsAck);
  CHECK(states == States{kAttaching, kAttached});
}

TEST_CASE_FIXTURE(LinkStage, "a failure in any state before attached waits and dials again") {
  const auto fails_into_wait = [&](const char* reason) {
    CAPTURE(reason);
    CHECK(link->state() == kBackingOff);
    CHECK(states == States{kBackingOff});
    CHECK_FALSE(link->last_error().empty());
    CHECK(count("ptth_link_failures", {{"reason", reason}}) > 0);
    loop.advance(Milliseconds(499));
    CHECK(link->state() == kBackingOff);
    loop.advance(Milliseconds(1));
    CHECK(link->state() == kResolving);
  };
  reach(kResolving);
  network.fail_resolving("no such name");
  fails_into_wait("resolve");
  CHECK(link->last_error() == "no such name");

  reach(kConnecting);
  network.refuse(network.attempted().size() - 1, "connection refused");
  fails_into_wait("unreachable");
  CHECK(link->last_error() == "cannot connect to gw.example: 192.0.2.1:443: connection refused");

  reach(kReversing);
  wires.back().say("HTTP/1.1 400 Bad Request\r\n");
  fails_into_wait("protocol");

  reach(kAttaching);
  wires.back().end();
  fails_into_wait("closed");

  reach(kAttaching);
  wires.back().fail(kReset);
  fails_into_wait("closed");
}

TEST_CASE_FIXTURE(LinkStage, "no state before attached lasts for ever") {
  const auto times_out = [&](const char* why) {
    loop.advance(Milliseconds(9'999));
    CHECK(link->state() != kBackingOff);
    loop.advance(Milliseconds(1));
    CHECK(link->state() == kBackingOff);
    CHECK(link->last_error().find(why) != std::string::npos);
  };
  reach(kResolving);
  times_out("cannot resolve \"gw.example\" within 10 s");
  reach(kConnecting);
  times_out("no answer from 192.0.2.1:443");
  reach(kReversing);
  times_out("the hello with 192.0.2.1:443");
  reach(kAttaching);
  times_out("SETTINGS");
}

TEST_CASE_FIXTURE(LinkStage,
                  "the wait doubles while the gateway is away, and starts over after health") {
  start();
  for (const int64_t wait : {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000}) {
    network.fail_resolving("no such name");
    loop.advance(Milliseconds(wait - 1));
    CHECK(link->state() == kBackingOff);
    loop.advance(Milliseconds(1));
    CHECK(link->state() == kResolving);
  }
  Wire& wire = attach();
  // The session's PINGs go unanswered for less than its patience.
  wire.say(kSettings);
  loop.advance(Milliseconds(6'000));
  wire.say(kSettings);
  loop.advance(Milliseconds(6'000));
  wire.fail(kReset);
  loop.advance(Milliseconds(500));
  CHECK(link->state() == kResolving);
}

TEST_CASE_FIXTURE(LinkStage, "a gateway that has gone silent is found within ten seconds") {
  start();
  Wire& wire = attach();
  loop.advance(Milliseconds(10'000));
  CHECK(wire.destroyed);
  CHECK(states.front() == kBackingOff);
  CHECK(count("ptth_link_failures", {{"reason", "timeout"}}) == 1);
}

TEST_CASE_FIXTURE(LinkStage, "a bare end of an attached link is dialled again at once") {
  start();
  Wire& wire = attach();
  loop.advance(Milliseconds(5'000));
  wire.end();
  loop.turn();
  CHECK(states == States{kBackingOff});
  CHECK(wire.destroyed);
  loop.advance(Milliseconds(10));
  CHECK(states == States{kBackingOff, kResolving});
  CHECK(link->last_error().empty());
  CHECK(count("ptth_link_redials", {{"cause", "closed"}}) == 1);
  attach();
}

TEST_CASE_FIXTURE(LinkStage, "a link that breaks after it was attached waits like any failure") {
  start();
  attach().fail(kReset);
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(499));
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(1));
  CHECK(link->state() == kResolving);
  CHECK(link->last_error() == "connection reset");
}

TEST_CASE_FIXTURE(LinkStage, "a gateway that closes right after attaching is not hammered") {
  start();
  for (int i = 0; i < 4; ++i) {
    attach().end();
    loop.advance(Milliseconds(10));
    CHECK(link->state() == kResolving);
  }
  for (const int64_t wait : {500, 1000, 2000}) {
    attach().end();
    CHECK(link->last_error().find("over and over") != std::string::npos);
    loop.advance(Milliseconds(wait - 1));
    CHECK(link->state() == kBackingOff);
    loop.advance(Milliseconds(1));
    CHECK(link->state() == kResolving);
  }
}

TEST_CASE_FIXTURE(LinkStage, "refused credentials wait longer and show until a link attaches") {
  start();
  connect().fail({ErrorKind::kRefused, Side::kGateway, "alert: unknown ca", false});
  CHECK(link->state() == kBackingOff);
  CHECK(link->credentials_refused());
  CHECK(link->last_error() == "alert: unknown ca");
  CHECK(count("ptth_link_failures", {{"reason", "refused"}}) == 1);
  auto& gauge = metrics.gauge("ptth_link_credentials_refused", "", {{"gateway", "gw"}});
  CHECK(gauge.value() == 1);
  loop.advance(Milliseconds(9'999));
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(1));
  CHECK(link->state() == kResolving);
  attach();
  CHECK_FALSE(link->credentials_refused());
  CHECK(link->last_error().empty());
  CHECK(gauge.value() == 0);
}

TEST_CASE_FIXTURE(LinkStage, "a refusal that becomes an outage is no refusal any more") {
  start();
  connect().fail({ErrorKind::kRefused, Side::kGateway, "alert: unknown ca", false});
  loop.advance(Milliseconds(10'000));
  network.fail_resolving("no such name");
  CHECK_FALSE(link->credentials_refused());
  CHECK(metrics.gauge("ptth_link_credentials_refused", "", {{"gateway", "gw"}}).value() == 0);
}
