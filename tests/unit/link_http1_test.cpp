// What is different about a link when the gateway speaks HTTP/1.1.

#include "agent/link/magic_stream.h"
#include "tests/unit/link_stage.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>

using ptth::ByteStream;
using ptth::GatewayOptions;
using ptth::Loop;
using ptth::Milliseconds;
using ptth::Profile;
using ptth::test::LinkStage;
using ptth::test::Wire;

using enum ptth::LinkState;

namespace {

const std::string kGet = "GET / HTTP/1.1\r\nHost: gw\r\n";

class Http1Profile final : public Profile {
 public:
  [[nodiscard]] std::string_view name() const override { return "http1"; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return {}; }

  [[nodiscard]] ptth::DrainStyle drain_style() const override {
    return ptth::DrainStyle::kAnnounce;
  }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return ptth::make_http1_stream(loop, std::move(connected), listener);
  }
};

struct Http1LinkStage : LinkStage {
  Wire& attach_http1() {
    Wire& wire = connect();
    loop.advance(Milliseconds(200));
    REQUIRE(link->state() == kAttached);
    return wire;
  }

  Wire& first() {
    make({}, std::make_unique<Http1Profile>());
    link->start();
    loop.turn();
    return attach_http1();
  }

  void on_link_load_changed(const ptth::Link& changed) override {
    loads.push_back(changed.exchanges_in_flight());
  }

  std::vector<size_t> loads;
};

}  // namespace

TEST_CASE_FIXTURE(Http1LinkStage, "a link tells what it carries when that is one exchange") {
  Wire& wire = first();
  CHECK(link->carries_one_exchange());
  wire.say(kGet + "\r\n");
  loop.turn();
  CHECK(loads == std::vector<size_t>{1});
  origin.answer_all();
  loop.turn();
  CHECK(loads == std::vector<size_t>{1, 0});
  CHECK(wire.written.find("HTTP/1.1 204") == 0);
}

TEST_CASE_FIXTURE(Http1LinkStage, "a gateway that uses connections up gets the next one at once") {
  first();
  for (int request = 0; request < 20; ++request) {
    Wire& wire = wires.back();
    wire.say(kGet + "Connection: close\r\n\r\n");
    loop.turn();
    origin.answer_all();
    loop.turn();
    CHECK(wire.shut_down);
    wire.end();
    CHECK(link->state() == kBackingOff);
    loop.advance(Milliseconds(10));
    REQUIRE(link->state() == kResolving);
    attach_http1();
  }
  CHECK(count("ptth_link_redials", {{"cause", "closed"}}) == 20);
  CHECK(origin.started == 20);
}

TEST_CASE_FIXTURE(Http1LinkStage, "a gateway that closes unused connections is left alone") {
  first();
  int at_once = 0;
  for (; at_once < 20; ++at_once) {
    wires.back().end();
    loop.advance(Milliseconds(10));
    if (link->state() == kBackingOff) break;
    attach_http1();
  }
  CHECK(at_once < 10);
}

TEST_CASE_FIXTURE(Http1LinkStage, "a gateway that closes right after TLS has not attached us") {
  make({}, std::make_unique<Http1Profile>());
  link->start();
  loop.turn();
  Wire& wire = connect();
  wire.end();
  CHECK(link->state() == kBackingOff);
  CHECK(count("ptth_link_attaches") == 0);
  CHECK(count("ptth_link_failures", {{"reason", "closed"}}) == 1);
}

TEST_CASE_FIXTURE(Http1LinkStage,
                  "a drain of an idle link says goodbye and waits for the gateway") {
  Wire& wire = first();
  link->drain();
  loop.advance(Milliseconds(1'000));
  CHECK(wire.shut_down);
  CHECK(link->state() == kDraining);
  wire.end();
  CHECK(link->state() == kClosed);
}
