#include "tests/unit/link_stage.h"

#include <cstdio>
#include <memory>
#include <string>

#include <doctest/doctest.h>

using ptth::GatewayOptions;
using ptth::kLinkStateCount;
using ptth::Link;
using ptth::LinkState;
using ptth::Log;
using ptth::may_follow;
using ptth::Milliseconds;
using ptth::to_string;
using ptth::test::FakeNetwork;
using ptth::test::kGoaway;
using ptth::test::kPing;
using ptth::test::kRequest;
using ptth::test::kSettings;
using ptth::test::LinkStage;
using ptth::test::States;
using ptth::test::Wire;

using enum ptth::LinkState;

TEST_CASE_FIXTURE(LinkStage,
                  "a gateway that leaves gets its answers while the next link is dialled") {
  start();
  Wire& old_wire = attach();
  old_wire.say(kRequest);
  loop.turn();
  REQUIRE(origin.started == 1);
  CHECK(link->exchanges_in_flight() == 1);
  old_wire.say(kGoaway);
  loop.turn();
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(10));
  CHECK(states == States{kBackingOff, kResolving});
  CHECK(count("ptth_link_redials", {{"cause", "leaving"}}) == 1);
  attach();
  CHECK(link->exchanges_in_flight() == 1);
  CHECK_FALSE(old_wire.destroyed);

  old_wire.written.clear();
  origin.answer_all();
  loop.turn();
  CHECK(old_wire.written.size() > 9);
  CHECK(link->exchanges_in_flight() == 0);
  CHECK(old_wire.destroyed);
  CHECK(link->state() == kAttached);
  CHECK(states.empty());
}

TEST_CASE_FIXTURE(LinkStage, "a gateway that floods is not dialled again soon") {
  start();
  Wire& wire = attach();
  for (int ping = 0; ping < 10'000 && link->state() == kAttached; ++ping) {
    wire.say(kPing);
    loop.turn();
  }
  REQUIRE(link->state() == kBackingOff);
  loop.advance(gateway.backoff.refused_min);
  CHECK(link->state() == kBackingOff);
}

TEST_CASE_FIXTURE(LinkStage, "a gateway that leaves while nothing is in flight is let go") {
  start();
  Wire& wire = attach();
  loop.advance(Milliseconds(1'000));
  wire.say(kGoaway);
  loop.advance(Milliseconds(10));
  CHECK(wire.destroyed);
  CHECK(link->state() == kResolving);
}

TEST_CASE_FIXTURE(LinkStage, "sessions that gateways have left do not pile up") {
  start();
  for (int i = 0; i < 6; ++i) {
    Wire& wire = attach();
    wire.say(kRequest);
    loop.advance(Milliseconds(4'000));
    wire.say(kSettings + kGoaway);
    loop.advance(Milliseconds(10));
    for (Wire& earlier : wires)
      earlier.say(kSettings);
  }
  int open = 0;
  for (const Wire& wire : wires)
    open += wire.destroyed ? 0 : 1;
  CHECK(open == 4);
  CHECK(link->exchanges_in_flight() == 4);
}

TEST_CASE_FIXTURE(LinkStage, "drain closes soon in every state in which nothing is in flight") {
  for (const LinkState state :
       {kIdle, kBackingOff, kResolving, kConnecting, kReversing, kAttaching, kAttached}) {
    CAPTURE(to_string(state));
    reach(state);
    link->drain();
    CHECK(states.empty());
    loop.turn();
    // A gateway that was attached has a second to answer our PING, and one to read our GOAWAY; one
    // that we are being attached to has a second to say anything.
    if (state == kAttaching || state == kAttached) loop.advance(Milliseconds(1'000));
    loop.advance(Milliseconds(state == kAttached ? 1'000 : 100));
    CHECK(states == States{kDraining, kClosed});
    CHECK(network.connecting() == 0);
    const size_t dials = network.queries();
    loop.advance(Milliseconds(120'000));
    CHECK(network.queries() == dials);
    CHECK(link->state() == kClosed);
    link->drain();
    link->abort();
    loop.turn();
    CHECK(states == States{kDraining, kClosed});
  }
}

TEST_CASE_FIXTURE(LinkStage, "abort closes in every state") {
  for (const LinkState state :
       {kIdle, kBackingOff, kResolving, kConnecting, kReversing, kAttaching, kAttached}) {
    CAPTURE(to_string(state));
    reach(state);
    link->abort();
    loop.turn();
    loop.advance(Milliseconds(1'000));
    CHECK(states == States{kDraining, kClosed});
    for (const Wire& wire : wires)
      CHECK(wire.destroyed);
  }
}

TEST_CASE_FIXTURE(LinkStage, "drain waits for what is in flight, also on sessions that were left") {
  start();
  Wire& left = attach();
  left.say(kRequest);
  left.say(kGoaway);
  loop.advance(Milliseconds(10));
  Wire& current = attach();
  current.say(kRequest);
  loop.turn();
  CHECK(link->exchanges_in_flight() == 2);
  link->drain();
  loop.turn();
  CHECK(states == States{kDraining});
  origin.answer_all();
  loop.turn();
  // The gateway answers the PING of an announced drain, if there is one, by closing.
  current.end();
  left.end();
  loop.turn();
  CHECK(states == States{kDraining, kClosed});
  CHECK(left.destroyed);
  CHECK(current.destroyed);
}

TEST_CASE_FIXTURE(LinkStage, "abort ends a drain that takes too long") {
  start();
  Wire& wire = attach();
  wire.say(kRequest);
  link->drain();
  loop.advance(Milliseconds(500));
  CHECK(states == States{kDraining});
  link->abort();
  loop.turn();
  loop.advance(Milliseconds(1'000));
  CHECK(states == States{kDraining, kClosed});
  CHECK(wire.destroyed);
  CHECK(origin.waiting.empty());
}

TEST_CASE_FIXTURE(LinkStage, "a link that is destroyed in any state is silent") {
  for (const LinkState state :
       {kIdle, kBackingOff, kResolving, kConnecting, kReversing, kAttaching, kAttached}) {
    reach(state);
    link.reset();
    loop.advance(Milliseconds(120'000));
    CHECK(states.empty());
  }
}

TEST_CASE_FIXTURE(LinkStage, "one gateway's trouble never moves the link to another") {
  struct Ignore final : Link::Listener {
    void on_link_state(const Link&, LinkState) override {}
  } ignore;

  start();
  Wire& wire = attach();
  FakeNetwork bad_network(loop);
  GatewayOptions bad;
  bad.name = "bad";
  bad.host = "bad.example";
  bad.tls = false;
  const auto bad_link =
      Link::create({loop, origin, log, metrics, relay_metrics, budget, *profiles, ignore,
                    bad_network, tls_contexts, [](uint64_t bound) { return bound; }},
                   bad, 0, 100);
  bad_link->start();
  for (int second = 0; second < 300; ++second) {
    bad_network.fail_resolving("no such name");
    wire.say(kSettings);
    loop.advance(Milliseconds(1'000));
  }
  CHECK(bad_network.queries() > 10);
  CHECK(link->state() == kAttached);
  CHECK(states.empty());
}

TEST_CASE_FIXTURE(LinkStage, "each transition is a log line that says which link, whence and why") {
  const auto close_file = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close_file)> file(std::tmpfile(), close_file);
  REQUIRE(file != nullptr);
  {
    Log told{{.level = ptth::LogLevel::kDebug, .descriptor = fileno(file.get())}};
    GatewayOptions options;
    options.name = "paris";
    options.host = "gw.example";
    options.tls = false;
    make();
    link = Link::create({loop, origin, told, metrics, relay_metrics, budget, *profiles, *this,
                         network, tls_contexts, [](uint64_t bound) { return bound; }},
                        options, 3, 100);
    link->start();
    loop.turn();
    network.fail_resolving("no such name");
    loop.advance(Milliseconds(500));
    attach();
    link->abort();
    loop.advance(Milliseconds(1'000));
    link.reset();
    loop.turn();
  }
  std::string lines(64 * 1024, '\0');
  std::rewind(file.get());
  lines.resize(std::fread(lines.data(), 1, lines.size(), file.get()));
  size_t from = 0;
  for (const char* part :
       {R"("from":"idle","to":"resolving","reason":"dial")",
        R"("from":"resolving","to":"backing_off","reason":"no such name","wait_ms":500)",
        R"("from":"backing_off","to":"resolving")", R"("from":"resolving","to":"connecting")",
        R"("from":"connecting","to":"reversing")", R"("from":"reversing","to":"attaching")",
        R"("from":"attaching","to":"attached")", R"("from":"attached","to":"draining")",
        R"("from":"draining","to":"closed")"}) {
    CAPTURE(part);
    const size_t found = lines.find(part, from);
    REQUIRE(found != std::string::npos);
    const size_t begin = lines.rfind('\n', found) + 1;
    const std::string line = lines.substr(begin, lines.find('\n', found) - begin);
    CHECK(line.find("link state") != std::string::npos);
    CHECK(line.find(R"("gateway":"paris","link":3)") != std::string::npos);
    from = found;
  }
  CHECK(lines.find(R"("address":"192.0.2.1:443")") != std::string::npos);
}

TEST_CASE("every state can end, and only a closed link stays as it is") {
  for (size_t from = 0; from < kLinkStateCount; ++from) {
    const auto state = static_cast<LinkState>(from);
    CHECK_FALSE(may_follow(state, state));
    CHECK_FALSE(may_follow(state, kIdle));
    if (state != kDraining && state != kClosed) CHECK(may_follow(state, kDraining));
    CHECK(may_follow(state, kClosed) == (state == kDraining));
    CHECK_FALSE(may_follow(kClosed, state));
    CHECK(to_string(state) != "unknown");
  }
  CHECK_FALSE(may_follow(kResolving, kAttached));
  CHECK_FALSE(may_follow(kIdle, kBackingOff));
}
