#include "agent/link/link.h"

#include "agent/relay/budget.h"
#include "agent/relay/relay_metrics.h"
#include "tests/support/fake_network.h"
#include "tests/support/scripted_stream.h"

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::Budget;
using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::GatewayOptions;
using ptth::kLinkStateCount;
using ptth::Link;
using ptth::LinkState;
using ptth::Log;
using ptth::Loop;
using ptth::may_follow;
using ptth::Metrics;
using ptth::Milliseconds;
using ptth::Origin;
using ptth::OriginCall;
using ptth::Profile;
using ptth::RelayMetrics;
using ptth::RequestHead;
using ptth::ResponseHead;
using ptth::ResponseListener;
using ptth::Side;
using ptth::TlsContexts;
using ptth::to_string;
using ptth::WorkSlot;
using ptth::test::FakeNetwork;
using ptth::test::make_scripted_stream;
using ptth::test::Wire;

namespace {

using enum LinkState;
using States = std::vector<LinkState>;

// Frames of a gateway, by hand (RFC 9113 section 4.1).
const std::string kSettings("\0\0\0\x04\0\0\0\0\0", 9);
const std::string kSettingsAck("\0\0\0\x04\x01\0\0\0\0", 9);
const std::string kGoaway(
    "\0\0\x08\x07\0\0\0\0\0"
    "\0\0\0\0"
    "\0\0\0\0",
    17);
// GET https://gw/, stream 1, no body.
const std::string kRequest("\0\0\x07\x01\x05\0\0\0\x01\x82\x87\x84\x41\x02gw", 16);
const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const Error kReset{ErrorKind::kClosed, Side::kGateway, "connection reset", false};

// Keeps requests until the test answers them.
class HoldingOrigin final : public Origin {
 public:
  std::unique_ptr<OriginCall> start(const RequestHead&, ResponseListener& listener,
                                    WorkSlot) override {
    ++started;
    waiting.push_back(&listener);
    return std::make_unique<Call>(*this, listener);
  }

  void answer_all() {
    for (ResponseListener* listener : std::exchange(waiting, {})) {
      ResponseHead head;
      head.status = 204;
      listener->on_response_head(head);
      listener->on_response_end({});
    }
  }

  std::vector<ResponseListener*> waiting;
  int started = 0;

 private:
  class Call final : public OriginCall {
   public:
    Call(HoldingOrigin& origin, ResponseListener& listener)
        : origin_(origin), listener_(listener) {}

    ~Call() override { std::erase(origin_.waiting, &listener_); }

    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Call(Call&&) = delete;
    Call& operator=(Call&&) = delete;

    void write_body(ptth::Bytes) override {}

    void end_body(const ptth::FieldList&) override {}

    void pause_response() override {}

    void resume_response() override {}

   private:
    HoldingOrigin& origin_;
    ResponseListener& listener_;
  };
};

struct Fixture : Link::Listener {
  virtual ~Fixture() {
    link.reset();
    loop.turn();
  }

  void on_link_state(const Link& changed, LinkState state) override {
    CHECK(changed.state() == state);
    if (!states.empty()) CHECK(may_follow(states.back(), state));
    states.push_back(state);
  }

  void make(GatewayOptions options, std::unique_ptr<Profile> chosen) {
    link.reset();
    loop.turn();
    states.clear();
    profile = std::move(chosen);
    options.name = "gw";
    options.tls = false;
    if (options.host.empty()) options.host = "gw.example";
    link = Link::create({loop, origin, log, metrics, relay_metrics, budget, *profile, *this,
                         network, tls_contexts, [](uint64_t bound) { return bound; }},
                        options, 0, 100);
  }

  void make() { make({}, ptth::make_haproxy_profile()); }

  void start() {
    make();
    link->start();
    loop.turn();
  }

  void resolve() { network.resolve_with({"192.0.2.1"}); }

  // The dial that is under way succeeds; what it is connected to.
  Wire& connect() {
    wires.emplace_back();
    resolve();
    network.connect(network.attempted().size() - 1, make_scripted_stream(wires.back()));
    loop.turn();
    return wires.back();
  }

  Wire& attach() {
    Wire& wire = connect();
    wire.say(kSettings + kSettingsAck);
    loop.turn();
    REQUIRE(link->state() == kAttached);
    states.clear();
    return wire;
  }

  // A link that has just been dialled until it is in that state.
  void reach(LinkState state) {
    if (state == kReversing) {
      make({}, ptth::make_direct_profile());
    } else {
      make();
    }
    if (state == kIdle) return;
    link->start();
    loop.turn();
    if (state == kConnecting) resolve();
    if (state == kReversing || state == kAttaching) connect();
    if (state == kBackingOff) network.fail_resolving("no such name");
    if (state == kAttached) attach();
    REQUIRE(link->state() == state);
    states.clear();
  }

  [[nodiscard]] double in_state(LinkState state) {
    return metrics
        .gauge("ptth_link_state", "", {{"gateway", "gw"}, {"state", std::string(to_string(state))}})
        .value();
  }

  [[nodiscard]] uint64_t count(const std::string& name, Metrics::Labels more = {}) {
    more.insert(more.begin(), {"gateway", "gw"});
    return metrics.counter(name, "", more).value();
  }

  Loop loop{ClockMode::kManual};
  Log log{{.level = ptth::LogLevel::kOff}};
  Metrics metrics;
  RelayMetrics relay_metrics{metrics, "gw"};
  Budget budget;
  HoldingOrigin origin;
  TlsContexts tls_contexts;
  FakeNetwork network{loop};
  std::deque<Wire> wires;
  std::unique_ptr<Profile> profile;
  States states;
  std::unique_ptr<Link> link;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a link takes every step from the name to attached, each in the gauge") {
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

TEST_CASE_FIXTURE(Fixture, "an address in place of a name skips resolving") {
  GatewayOptions options;
  options.host = "192.0.2.7";
  make(options, ptth::make_haproxy_profile());
  link->start();
  loop.turn();
  CHECK(states == States{kConnecting});
}

TEST_CASE_FIXTURE(Fixture, "direct: the gateway's magic comes before the session") {
  reach(kReversing);
  Wire& wire = wires.back();
  CHECK(wire.written.empty());
  wire.say(kMagic + kSettings);
  loop.turn();
  CHECK(link->state() == kAttaching);
  wire.say(kSettingsAck);
  CHECK(states == States{kAttaching, kAttached});
}

TEST_CASE_FIXTURE(Fixture, "a failure in any state before attached waits and dials again") {
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

TEST_CASE_FIXTURE(Fixture, "no state before attached lasts for ever") {
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
  times_out("no HTTP/2 from 192.0.2.1:443");
  reach(kAttaching);
  times_out("SETTINGS");
}

TEST_CASE_FIXTURE(Fixture,
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

TEST_CASE_FIXTURE(Fixture, "a gateway that has gone silent is found within ten seconds") {
  start();
  Wire& wire = attach();
  loop.advance(Milliseconds(10'000));
  CHECK(wire.destroyed);
  CHECK(states.front() == kBackingOff);
  CHECK(count("ptth_link_failures", {{"reason", "timeout"}}) == 1);
}

TEST_CASE_FIXTURE(Fixture, "a bare end of an attached link is dialled again at once") {
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

TEST_CASE_FIXTURE(Fixture, "a link that breaks after it was attached waits like any failure") {
  start();
  attach().fail(kReset);
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(499));
  CHECK(link->state() == kBackingOff);
  loop.advance(Milliseconds(1));
  CHECK(link->state() == kResolving);
  CHECK(link->last_error() == "connection reset");
}

TEST_CASE_FIXTURE(Fixture, "a gateway that closes right after attaching is not hammered") {
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

TEST_CASE_FIXTURE(Fixture, "refused credentials wait longer and show until a link attaches") {
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

TEST_CASE_FIXTURE(Fixture, "a refusal that becomes an outage is no refusal any more") {
  start();
  connect().fail({ErrorKind::kRefused, Side::kGateway, "alert: unknown ca", false});
  loop.advance(Milliseconds(10'000));
  network.fail_resolving("no such name");
  CHECK_FALSE(link->credentials_refused());
  CHECK(metrics.gauge("ptth_link_credentials_refused", "", {{"gateway", "gw"}}).value() == 0);
}

TEST_CASE_FIXTURE(Fixture,
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

TEST_CASE_FIXTURE(Fixture, "a gateway that leaves while nothing is in flight is let go") {
  start();
  Wire& wire = attach();
  loop.advance(Milliseconds(1'000));
  wire.say(kGoaway);
  loop.advance(Milliseconds(10));
  CHECK(wire.destroyed);
  CHECK(link->state() == kResolving);
}

TEST_CASE_FIXTURE(Fixture, "sessions that gateways have left do not pile up") {
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

TEST_CASE_FIXTURE(Fixture, "drain closes at once in every state in which nothing is in flight") {
  for (const LinkState state :
       {kIdle, kBackingOff, kResolving, kConnecting, kReversing, kAttaching, kAttached}) {
    CAPTURE(to_string(state));
    reach(state);
    link->drain();
    CHECK(states.empty());
    loop.turn();
    // A gateway that was attached has a second to read our GOAWAY.
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

TEST_CASE_FIXTURE(Fixture, "abort closes in every state") {
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

TEST_CASE_FIXTURE(Fixture, "drain waits for what is in flight, also on sessions that were left") {
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

TEST_CASE_FIXTURE(Fixture, "abort ends a drain that takes too long") {
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

TEST_CASE_FIXTURE(Fixture, "a link that is destroyed in any state is silent") {
  for (const LinkState state :
       {kIdle, kBackingOff, kResolving, kConnecting, kReversing, kAttaching, kAttached}) {
    reach(state);
    link.reset();
    loop.advance(Milliseconds(120'000));
    CHECK(states.empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "one gateway's trouble never moves the link to another") {
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
      Link::create({loop, origin, log, metrics, relay_metrics, budget, *profile, ignore,
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
