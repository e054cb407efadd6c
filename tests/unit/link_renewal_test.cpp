#include "tests/unit/link_stage.h"

#include <string>

#include <doctest/doctest.h>

using ptth::GatewayOptions;
using ptth::make_direct_profile;
using ptth::Milliseconds;
using ptth::test::kMagic;
using ptth::test::kRequest;
using ptth::test::kReset;
using ptth::test::kSettings;
using ptth::test::kSettingsAck;
using ptth::test::LinkStage;
using ptth::test::Wire;

using enum ptth::LinkState;

namespace {

struct RenewalStage : LinkStage {
  // A profile whose gateway is told with GOAWAY.
  void start_direct(GatewayOptions options = {}) {
    make(options, make_direct_profile());
    link->start();
    loop.turn();
    first = &connect();
    say_hello(*first);
    REQUIRE(link->state() == kAttached);
    states.clear();
  }

  void say_hello(Wire& wire) {
    wire.say(kMagic + kSettings + kSettingsAck);
    loop.turn();
  }

  // The random number of the stage is always the bound.
  void let_the_spread_pass() { loop.advance(Milliseconds(5'000)); }

  [[nodiscard]] uint64_t renewals(const std::string& outcome) {
    return count("ptth_link_renewals", {{"outcome", outcome}});
  }

  [[nodiscard]] bool has_left(const Wire& wire) const {
    const std::string goaway_type_and_flags("\x07\x00", 2);
    return wire.written.find(goaway_type_and_flags) != std::string::npos;
  }

  Wire* first = nullptr;
};

}  // namespace

TEST_CASE_FIXTURE(RenewalStage,
                  "a renewed link serves on its old connection until the new one is attached") {
  start_direct();
  first->say(kRequest);
  loop.turn();
  REQUIRE(origin.started == 1);
  link->renew("credentials have changed");
  let_the_spread_pass();
  Wire& second = connect();
  CHECK_FALSE(has_left(*first));
  CHECK(link->state() == kAttached);
  say_hello(second);
  CHECK(renewals("replaced") == 1);
  CHECK(has_left(*first));
  CHECK_FALSE(first->destroyed);
  CHECK(link->exchanges_in_flight() == 1);
  second.say(kRequest);
  loop.turn();
  CHECK(origin.started == 2);
  // No moment at which the link was anything else.
  CHECK(states.empty());
}

TEST_CASE_FIXTURE(RenewalStage,
                  "what a gateway asks on a connection that is being attached outlives the drain") {
  start_direct();
  link->renew("credentials have changed");
  let_the_spread_pass();
  Wire& second = connect();
  second.say(kMagic + kSettings + kRequest);
  loop.turn();
  REQUIRE(origin.started == 1);
  SUBCASE("of the link") {
    link->drain();
  }
  SUBCASE("of that connection, because the credentials have changed again") {
    link->renew("credentials have changed");
  }
  loop.turn();
  CHECK_FALSE(second.destroyed);
  second.written.clear();
  origin.answer_all();
  loop.turn();
  // HEADERS with END_STREAM and END_HEADERS, of stream 1.
  CHECK(second.written.find(std::string("\x01\x05\0\0\0\x01", 6)) != std::string::npos);
  second.say(kSettingsAck);
  loop.turn();
  CHECK(has_left(second));
}

TEST_CASE_FIXTURE(RenewalStage,
                  "what was in flight is answered on the connection on which it came") {
  start_direct();
  first->say(kRequest);
  loop.turn();
  link->renew("test");
  let_the_spread_pass();
  Wire& second = connect();
  say_hello(second);
  first->written.clear();
  second.written.clear();
  origin.answer_all();
  loop.turn();
  CHECK(first->written.size() > 9);
  CHECK(second.written.empty());
  CHECK(link->exchanges_in_flight() == 0);
}

TEST_CASE_FIXTURE(RenewalStage,
                  "a replacement that cannot be had leaves the link as it is, and is tried again") {
  start_direct();
  link->renew("test");
  let_the_spread_pass();
  Wire& second = connect();
  second.fail(kReset);
  loop.turn();
  CHECK(renewals("failed") == 1);
  CHECK(link->state() == kAttached);
  CHECK_FALSE(has_left(*first));
  loop.advance(Milliseconds(500));
  Wire& third = connect();
  say_hello(third);
  CHECK(renewals("replaced") == 1);
  CHECK(has_left(*first));
}

TEST_CASE_FIXTURE(RenewalStage, "a link that ends while its replacement is dialled begins anew") {
  start_direct();
  link->renew("test");
  let_the_spread_pass();
  Wire& second = connect();
  first->fail(kReset);
  loop.turn();
  CHECK(second.destroyed);
  CHECK(link->state() == kBackingOff);
}

TEST_CASE_FIXTURE(RenewalStage, "a connection is replaced when it has reached its age") {
  GatewayOptions options;
  options.max_age = Milliseconds(5'000);
  start_direct(options);
  // The stage's random number takes all of the fifth that is left to chance.
  loop.advance(Milliseconds(3'999));
  CHECK(wires.size() == 1);
  CHECK(network.attempted().size() == 1);
  loop.advance(Milliseconds(1));
  Wire& second = connect();
  say_hello(second);
  CHECK(renewals("replaced") == 1);
  loop.advance(Milliseconds(4'000));
  Wire& third = connect();
  say_hello(third);
  CHECK(renewals("replaced") == 2);
}

TEST_CASE_FIXTURE(RenewalStage, "a link that drains dials no replacement") {
  start_direct();
  first->say(kRequest);
  loop.turn();
  link->renew("test");
  link->drain();
  loop.turn();
  let_the_spread_pass();
  CHECK(network.attempted().size() == 1);
  CHECK(link->state() == kDraining);
}

TEST_CASE_FIXTURE(RenewalStage, "credentials that change twice are dialled with once more") {
  start_direct();
  link->renew("first");
  let_the_spread_pass();
  Wire& second = connect();
  link->renew("second");
  loop.turn();
  CHECK(second.destroyed);
  first->say(kSettings);
  let_the_spread_pass();
  Wire& third = connect();
  say_hello(third);
  CHECK(renewals("replaced") == 1);
}
