#include "agent/gateway_set.h"

#include "agent/relay/budget.h"
#include "agent/relay/capacity_shares.h"
#include "common/fetch.h"
#include "tests/unit/link_stage.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::ClockMode;
using ptth::GatewayOptions;
using ptth::GatewaySet;
using ptth::Link;
using ptth::LinkState;
using ptth::Log;
using ptth::LogLevel;
using ptth::Loop;
using ptth::Metrics;
using ptth::Milliseconds;
using ptth::test::FakeNetwork;
using ptth::test::HoldingOrigin;
using ptth::test::make_scripted_stream;
using ptth::test::Wire;

namespace {

struct SetStage : private GatewaySet::Listener {
  SetStage() {
    set = std::make_unique<GatewaySet>(
        GatewaySet::Surroundings{loop, log, metrics, origin, budget, shares, network, *fetcher,
                                 tls_contexts, "me", [] { return ptth::WorkerFacts(); }},
        static_cast<GatewaySet::Listener&>(*this));
  }

  virtual ~SetStage() {
    set.reset();
    loop.turn();
  }

  SetStage(const SetStage&) = delete;
  SetStage& operator=(const SetStage&) = delete;
  SetStage(SetStage&&) = delete;
  SetStage& operator=(SetStage&&) = delete;

  void on_gateway_attached(const Link& /*link*/) override { ++attached; }

  void on_credentials_refused(const Link& /*link*/) override {}

  void on_link_trouble(const Link& link) override { trouble = link.gateway(); }

  void on_link_changed(const Link& /*link*/, ptth::LinkState /*state*/) override {}

  void on_gateway_gone(const std::string& /*name*/) override {}

  void on_all_closed() override { ++all_closed; }

  static GatewayOptions gateway(const std::string& name) {
    GatewayOptions options;
    options.name = name;
    options.host = "192.0.2.1";
    options.tls = false;
    return options;
  }

  GatewaySet::Changes apply(const std::vector<GatewayOptions>& gateways) {
    desired.gateways = gateways;
    const auto changes = set->apply(desired);
    loop.turn();
    return changes;
  }

  // The attempt of that number, in the order of all, becomes a link.
  Wire& attach(size_t attempt) {
    wires.push_back(std::make_unique<Wire>());
    network.connect(attempt, make_scripted_stream(*wires.back()));
    loop.turn();
    wires.back()->say(ptth::test::kSettings + ptth::test::kSettingsAck);
    loop.turn();
    return *wires.back();
  }

  [[nodiscard]] size_t in_state(LinkState state) const {
    size_t count = 0;
    set->for_each_link([&](const Link& link) { count += link.state() == state ? 1 : 0; });
    return count;
  }

  [[nodiscard]] bool has_metrics(const std::string& gateway) {
    return metrics.expose().find("gateway=\"" + gateway + "\"") != std::string::npos;
  }

  Loop loop{ClockMode::kManual};
  Log log{{.level = LogLevel::kOff}};
  Metrics metrics;
  HoldingOrigin origin;
  ptth::Budget budget;
  ptth::CapacityShares shares{metrics, 0};
  FakeNetwork network{loop};
  std::unique_ptr<ptth::Fetcher> fetcher = ptth::make_fetcher(loop, network);
  ptth::TlsContexts tls_contexts;
  GatewaySet::Desired desired;
  std::vector<std::unique_ptr<Wire>> wires;
  int attached = 0;
  int all_closed = 0;
  std::string trouble;
  std::unique_ptr<GatewaySet> set;
};

}  // namespace

TEST_CASE_FIXTURE(SetStage,
                  "gateways that stay as they are notice nothing of those that come and go") {
  CHECK(apply({gateway("a")}).added == 1);
  attach(0);
  auto changes = apply({gateway("a"), gateway("b")});
  CHECK(changes.added == 1);
  CHECK(changes.unchanged == 1);
  attach(1);
  CHECK(in_state(LinkState::kAttached) == 2);
  changes = apply({gateway("a")});
  CHECK(changes.removed == 1);
  CHECK(changes.unchanged == 1);
  CHECK(network.attempted().size() == 2);
  CHECK(in_state(LinkState::kAttached) == 1);
}

TEST_CASE_FIXTURE(
    SetStage, "a gateway that is removed ends what is in flight, and vanishes with its metrics") {
  apply({gateway("a"), gateway("b")});
  attach(0);
  Wire& wire = attach(1);
  wire.say(ptth::test::kRequest);
  loop.turn();
  REQUIRE(origin.started == 1);
  apply({gateway("a")});
  CHECK(set->exchanges_in_flight() == 1);
  CHECK(has_metrics("b"));
  origin.answer_all();
  loop.advance(Milliseconds(10));
  wire.fail(ptth::test::kReset);
  loop.advance(Milliseconds(1'000));
  CHECK_FALSE(has_metrics("b"));
  CHECK(has_metrics("a"));
  CHECK(set->totals().served == 1);
}

// No test lasts so long that a link would want an answer to its PING.
TEST_CASE_FIXTURE(SetStage, "a gateway that is removed has so long to end, and no longer") {
  desired.drain_timeout = Milliseconds(2'000);
  apply({gateway("a")});
  attach(0).say(ptth::test::kRequest);
  loop.turn();
  apply({});
  loop.advance(desired.drain_timeout - Milliseconds(1));
  CHECK(set->exchanges_in_flight() == 1);
  loop.advance(Milliseconds(2'000));
  CHECK(set->exchanges_in_flight() == 0);
  CHECK(set->totals().cut == 1);
  CHECK_FALSE(has_metrics("a"));
}

TEST_CASE_FIXTURE(SetStage, "a gateway that TLS has not verified reads nothing about the worker") {
  GatewayOptions cleartext = gateway("a");
  cleartext.worker_document.path = "/";
  apply({cleartext});
  attach(0).say(ptth::test::kRequest);
  loop.turn();
  CHECK(origin.started == 1);
}

TEST_CASE_FIXTURE(SetStage, "what needs no new connection is changed in place") {
  apply({gateway("a")});
  attach(0);
  GatewayOptions tuned = gateway("a");
  tuned.connections = 2;
  tuned.max_age = Milliseconds(3'600'000);
  CHECK(apply({tuned}).retuned == 1);
  CHECK(network.attempted().size() == 2);
  attach(1);
  CHECK(in_state(LinkState::kAttached) == 2);
  CHECK(apply({gateway("a")}).retuned == 1);
  loop.advance(Milliseconds(10));
  CHECK(in_state(LinkState::kAttached) == 1);
  CHECK(network.attempted().size() == 2);
}

TEST_CASE_FIXTURE(SetStage, "a changed gateway is attached anew before its old links go") {
  apply({gateway("a")});
  attach(0);
  GatewayOptions changed = gateway("a");
  changed.host = "192.0.2.2";
  CHECK(apply({changed}).replaced == 1);
  network.refuse(1, "nobody is there");
  loop.advance(Milliseconds(3'000));
  CHECK(trouble == "a");
  CHECK(in_state(LinkState::kAttached) == 1);
  attach(network.attempted().size() - 1);
  loop.advance(Milliseconds(2'000));
  CHECK(in_state(LinkState::kAttached) == 1);
  CHECK(has_metrics("a"));
}

TEST_CASE_FIXTURE(SetStage, "old links do not wait for ever for the new ones of their gateway") {
  apply({gateway("a")});
  attach(0);
  desired.handover_timeout = Milliseconds(3'000);
  GatewayOptions changed = gateway("a");
  changed.host = "192.0.2.2";
  apply({changed});
  loop.advance(Milliseconds(2'999));
  CHECK(in_state(LinkState::kAttached) == 1);
  loop.advance(Milliseconds(2'000));
  CHECK(in_state(LinkState::kAttached) == 0);
}

TEST_CASE_FIXTURE(SetStage, "what was never attached makes way at once for what replaces it") {
  apply({gateway("a")});
  for (const char* host : {"192.0.2.2", "192.0.2.3"}) {
    GatewayOptions changed = gateway("a");
    changed.host = host;
    CHECK(apply({changed}).replaced == 1);
    loop.turn();
  }
  CHECK(network.connecting() == 1);
}

TEST_CASE_FIXTURE(SetStage, "the end of all links is told once, also when there is none") {
  set->drain();
  loop.turn();
  CHECK(all_closed == 1);
  set->abort();
  CHECK(apply({gateway("a")}).added == 0);
  CHECK(all_closed == 1);
}
