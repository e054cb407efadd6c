#pragma once

// A link with a gateway that the test plays on both its sides: the network that it dials, and the
// streams that come of it.

#include "agent/link/link.h"
#include "agent/link/profile_chooser.h"
#include "agent/relay/budget.h"
#include "agent/relay/relay_metrics.h"
#include "tests/support/fake_network.h"
#include "tests/support/scripted_stream.h"

#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace ptth::test {

using enum LinkState;

using States = std::vector<LinkState>;

// Frames of a gateway, by hand (RFC 9113 section 4.1).
inline const std::string kSettings("\0\0\0\x04\0\0\0\0\0", 9);
inline const std::string kSettingsAck("\0\0\0\x04\x01\0\0\0\0", 9);
inline const std::string kGoaway(
    "\0\0\x08\x07\0\0\0\0\0"
    "\0\0\0\0"
    "\0\0\0\0",
    17);
inline const std::string kPing("\0\0\x08\x06\0\0\0\0\0-flood--", 17);
// GET https://gw/, stream 1, no body.
inline const std::string kRequest("\0\0\x07\x01\x05\0\0\0\x01\x82\x87\x84\x41\x02gw", 16);
inline const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline const Error kReset{ErrorKind::kClosed, Side::kGateway, "connection reset", false};

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

    void write_body(Bytes) override {}

    void end_body(const FieldList&) override {}

    void pause_response() override {}

    void resume_response() override {}

   private:
    HoldingOrigin& origin_;
    ResponseListener& listener_;
  };
};

struct LinkStage : Link::Listener {
  virtual ~LinkStage() {
    link.reset();
    loop.turn();
  }

  void on_link_state(const Link& changed, LinkState state) override {
    CHECK(changed.state() == state);
    if (!states.empty()) CHECK(may_follow(states.back(), state));
    states.push_back(state);
  }

  void make(GatewayOptions options, std::unique_ptr<Profile> chosen) {
    std::vector<std::unique_ptr<Profile>> one;
    one.push_back(std::move(chosen));
    make(std::move(options), std::move(one));
  }

  void make(GatewayOptions options, std::vector<std::unique_ptr<Profile>> several) {
    link.reset();
    loop.turn();
    states.clear();
    profiles = std::make_unique<ProfileChooser>(std::move(several), options.automatic);
    options.name = "gw";
    options.tls = false;
    if (options.host.empty()) options.host = "gw.example";
    gateway = std::move(options);
    link = Link::create({loop, origin, log, metrics, relay_metrics, budget, *profiles, *this,
                         network, tls_contexts, [](uint64_t bound) { return bound; }},
                        gateway, 0, 100);
  }

  void make() { make({}, make_haproxy_profile()); }

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
      make({}, make_direct_profile());
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
  Log log{{.level = LogLevel::kOff}};
  Metrics metrics;
  RelayMetrics relay_metrics{metrics, "gw"};
  GatewayOptions gateway;  // As the link has borrowed them.
  Budget budget;
  HoldingOrigin origin;
  TlsContexts tls_contexts;
  FakeNetwork network{loop};
  std::deque<Wire> wires;
  std::unique_ptr<ProfileChooser> profiles;
  States states;
  std::unique_ptr<Link> link;
};

}  // namespace ptth::test
