// Links whose channels share connections, with a gateway that the test plays frame by frame. The
// channels speak HTTP/1.1, so that what is in them can be read.

#include "agent/link/tunnel_pool.h"

#include "agent/link/profile_chooser.h"
#include "agent/relay/budget.h"
#include "agent/relay/relay_metrics.h"
#include "tests/support/fake_network.h"
#include "tests/support/hello_transcript.h"
#include "tests/support/http2_frames.h"
#include "tests/support/scripted_stream.h"
#include "tests/unit/link_stage.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::big_endian;
using ptth::GatewayOptions;
using ptth::Link;
using ptth::Milliseconds;
using ptth::TestFrame;
using ptth::TunnelPool;

using enum ptth::LinkState;

namespace {

ptth::Bytes as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string as_text(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

const std::string kRequest = "GET / HTTP/1.1\r\nHost: gw\r\n\r\n";

// One connection, seen from the gateway.
struct Outer {
  void say(uint8_t type, uint8_t flags, int32_t stream_id, const std::string& payload) {
    wire.say(as_text(ptth::make_frame(type, flags, stream_id, as_bytes(payload))));
  }

  void settings(uint32_t streams_max = 100, uint32_t window = 65'535) {
    std::string payload({0, 8, 0, 0, 0, 1, 0, 3});
    payload += as_text(big_endian(streams_max));
    payload += std::string("\0\4", 2);
    payload += as_text(big_endian(window));
    say(ptth::kFrameSettings, 0, 0, payload);
  }

  void yes(int32_t stream_id) {
    say(ptth::kFrameHeaders, ptth::kFlagEndHeaders, stream_id,
        as_text(ptth::encode_fields({{":status", "200"}, {"alpn", "http%2F1.1"}})));
  }

  void data(int32_t stream_id, const std::string& bytes) {
    say(ptth::kFrameData, 0, stream_id, bytes);
  }

  void goaway(uint32_t last_stream_id) {
    say(ptth::kFrameGoaway, 0, 0, as_text(big_endian(last_stream_id)) + std::string(4, '\0'));
  }

  // Since the last call; the magic is no frame.
  std::vector<TestFrame> frames() {
    std::string written = std::exchange(wire.written, "");
    if (!std::exchange(has_begun, true)) written.erase(0, ptth::test::kMagic.size());
    return reader.read(as_bytes(written));
  }

  // What came since the last call, by stream: "hello", the data, "end" and "reset".
  std::map<int32_t, std::string> heard() {
    std::map<int32_t, std::string> out;
    for (const TestFrame& frame : frames()) {
      std::string& text = out[frame.stream_id];
      if (frame.type == ptth::kFrameHeaders) text += "hello";
      if (frame.type == ptth::kFrameData) text += as_text(frame.payload);
      if (frame.type == ptth::kFrameData && frame.ends_stream()) text += "end";
      if (frame.type == ptth::kFrameReset) text += "reset";
      if (frame.type == ptth::kFramePing && (frame.flags & ptth::kFlagAck) == 0) text += "ping";
      if (frame.type == ptth::kFrameGoaway) text += "goaway";
      if (text.empty()) out.erase(frame.stream_id);
    }
    return out;
  }

  ptth::test::Wire wire;
  ptth::FrameReader reader;
  bool has_begun = false;
};

struct Stage : Link::Listener {
  virtual ~Stage() {
    links.clear();
    loop.turn();
    pool.reset();
    loop.turn();
  }

  void on_link_state(const Link& link, ptth::LinkState state) override {
    states[link.id()].push_back(state);
  }

  void start(uint32_t count, uint32_t channels) {
    options.name = "gw";
    options.host = "192.0.2.1";
    options.tls = false;
    options.channels_per_connection = channels;
    ptth::HelloOptions hello;
    hello.channels = {"http/1.1"};
    std::vector<std::unique_ptr<ptth::Profile>> only;
    only.push_back(ptth::make_connect_profile(
        "ptth-connect", ptth::test::hello_spec(hello, ptth::ptth_connect_hello()), {}, {}));
    profiles = std::make_unique<ptth::ProfileChooser>(std::move(only), ptth::AutoOptions{});
    pool = std::make_unique<TunnelPool>(around(nullptr), options);
    for (uint32_t index = 0; index < count; ++index) {
      links.push_back(Link::create(around(pool.get()), options, index, 100));
      links.back()->start();
    }
    loop.turn();
  }

  // The dial with that number succeeds.
  Outer& accept(size_t number) {
    outers.emplace_back();
    network.connect(number, ptth::test::make_scripted_stream(outers.back().wire));
    loop.turn();
    return outers.back();
  }

  // One connection for all links, which are attached by it.
  Outer& attach_all() {
    Outer& outer = accept(network.attempted().size() - 1);
    outer.settings();
    loop.turn();
    for (size_t link = 0; link < links.size(); ++link)
      outer.yes(stream_of(link));
    loop.advance(Milliseconds(200));
    for (const auto& link : links)
      REQUIRE(link->state() == kAttached);
    static_cast<void>(outer.heard());
    states.clear();
    return outer;
  }

  static int32_t stream_of(size_t link) { return static_cast<int32_t>(2 * link + 1); }

  [[nodiscard]] double gauge(const std::string& name) {
    return metrics.gauge(name, "", {{"gateway", "gw"}}).value();
  }

  ptth::Loop loop{ptth::ClockMode::kManual};
  ptth::Log log{{.level = ptth::LogLevel::kOff}};
  ptth::Metrics metrics;
  ptth::RelayMetrics relay_metrics{metrics, "gw"};
  ptth::Budget budget;
  ptth::test::HoldingOrigin origin;
  ptth::TlsContexts tls_contexts;
  ptth::test::FakeNetwork network{loop};
  GatewayOptions options;
  std::unique_ptr<ptth::ProfileChooser> profiles;
  std::unique_ptr<TunnelPool> pool;
  std::deque<Outer> outers;
  std::map<uint64_t, ptth::test::States> states;
  std::vector<std::unique_ptr<Link>> links;

 private:
  [[nodiscard]] Link::Surroundings around(TunnelPool* tunnels) {
    return {loop,
            origin,
            log,
            metrics,
            relay_metrics,
            budget,
            *profiles,
            *this,
            network,
            tls_contexts,
            [](uint64_t bound) { return bound; },
            nullptr,
            tunnels};
  }
};

using Heard = std::map<int32_t, std::string>;

}  // namespace

TEST_CASE_FIXTURE(Stage, "tunnels: one dial carries the channels of several links") {
  start(3, 4);
  CHECK(network.attempted().size() == 1);
  Outer& outer = accept(0);
  CHECK(outer.heard().empty());
  outer.settings();
  loop.turn();
  CHECK(outer.heard() == Heard{{1, "hello"}, {3, "hello"}, {5, "hello"}});
  for (const int32_t stream : {1, 3, 5})
    outer.yes(stream);
  outer.data(3, kRequest);
  loop.advance(Milliseconds(200));
  CHECK(states[0] == ptth::test::States{kConnecting, kReversing, kAttaching, kAttached});
  CHECK(states[2] == states[0]);
  origin.answer_all();
  loop.turn();
  const Heard heard = outer.heard();
  CHECK(heard.size() == 1);
  CHECK(heard.at(3).starts_with("HTTP/1.1 204"));
  CHECK(gauge("ptth_tunnel_connections") == 1);
  CHECK(gauge("ptth_tunnel_channels") == 3);
}

TEST_CASE_FIXTURE(Stage, "tunnels: what has no room gets another connection") {
  SUBCASE("by our setting") {
    start(3, 2);
    CHECK(network.attempted().size() == 2);
  }
  SUBCASE("by the gateway's SETTINGS") {
    start(3, 4);
    CHECK(network.attempted().size() == 1);
    Outer& outer = accept(0);
    outer.settings(1);
    loop.turn();
    CHECK(outer.heard() == Heard{{1, "hello"}});
    // It is known by now that each takes one.
    CHECK(network.attempted().size() == 3);
    Outer& second = accept(1);
    second.settings(1);
    loop.turn();
    CHECK(second.heard() == Heard{{1, "hello"}});
  }
  SUBCASE("though the gateway allows none") {
    start(2, 2);
    Outer& outer = accept(0);
    outer.settings(0);
    loop.turn();
    CHECK(outer.heard().empty());
    CHECK(network.attempted().size() == 2);
    loop.advance(options.hello_timeout);
    CHECK(std::count(states[0].begin(), states[0].end(), kBackingOff) == 1);
  }
}

TEST_CASE_FIXTURE(Stage, "tunnels: a channel that is reset is asked for again beside the others") {
  start(3, 4);
  Outer& outer = attach_all();
  outer.data(5, kRequest);
  outer.say(ptth::kFrameReset, 0, 3, as_text(big_endian(8)));
  loop.advance(Milliseconds(10));
  CHECK(outer.heard() == Heard{{7, "hello"}});
  CHECK(links[1]->state() == kReversing);
  CHECK(states.size() == 1);
  CHECK(network.attempted().size() == 1);
  origin.answer_all();
  loop.turn();
  CHECK(outer.heard().at(5).starts_with("HTTP/1.1 204"));
}

TEST_CASE_FIXTURE(Stage, "tunnels: a channel that the gateway has ended leaves its place at once") {
  start(2, 2);
  Outer& outer = attach_all();
  outer.say(ptth::kFrameReset, 0, stream_of(1), as_text(big_endian(7)));
  // Its link still holds it when the next is asked for.
  const auto next = pool->lend();
  CHECK(network.attempted().size() == 1);
}

TEST_CASE_FIXTURE(Stage, "tunnels: a channel without the gateway's credit holds up no other") {
  start(2, 2);
  Outer& outer = accept(0);
  outer.settings(100, 5);
  loop.turn();
  outer.yes(1);
  outer.yes(3);
  outer.say(ptth::kFrameWindowUpdate, 0, 3, std::string(as_text(big_endian(1'000))));
  outer.data(1, kRequest);
  outer.data(3, kRequest);
  loop.advance(Milliseconds(200));
  static_cast<void>(outer.heard());
  origin.answer_all();
  loop.turn();
  const Heard heard = outer.heard();
  CHECK(heard.at(1) == "HTTP/");
  CHECK(heard.at(3).starts_with("HTTP/1.1 204"));
}

TEST_CASE_FIXTURE(Stage, "tunnels: a GOAWAY replaces the connection before it is left") {
  start(2, 2);
  Outer& outer = attach_all();
  outer.data(3, kRequest);
  outer.goaway(3);
  loop.advance(Milliseconds(10));
  CHECK(network.attempted().size() == 2);
  // Requests may still come.
  outer.data(1, kRequest);
  loop.turn();
  CHECK(origin.started == 2);
  Outer& next = accept(1);
  next.settings();
  loop.turn();
  CHECK(outer.heard().empty());
  next.yes(1);
  next.yes(3);
  loop.advance(Milliseconds(200));
  CHECK(states.empty());
  origin.answer_all();
  loop.turn();
  const Heard heard = outer.heard();
  CHECK(heard.at(1).starts_with("HTTP/1.1 204"));
  CHECK(heard.at(1).ends_with("end"));
  CHECK(heard.at(3).ends_with("end"));
  CHECK_FALSE(outer.wire.shut_down);
  for (const int32_t stream : {1, 3})
    outer.say(ptth::kFrameData, ptth::kFlagEndStream, stream, "");
  loop.turn();
  CHECK(outer.heard().contains(0));
  CHECK(outer.wire.shut_down);
  loop.advance(Milliseconds(1'000));
  CHECK(outer.wire.destroyed);
  next.data(1, kRequest);
  next.data(3, kRequest);
  loop.turn();
  CHECK(origin.started == 4);
}

TEST_CASE_FIXTURE(Stage, "tunnels: a channel asked for behind a GOAWAY goes elsewhere") {
  start(2, 3);
  Outer& outer = attach_all();
  outer.goaway(3);
  outer.say(ptth::kFrameReset, 0, 3, as_text(big_endian(8)));
  loop.advance(Milliseconds(10));
  CHECK(network.attempted().size() == 2);
  CHECK(outer.heard().empty());
  CHECK(links[0]->state() == kAttached);
}

TEST_CASE_FIXTURE(Stage, "tunnels: what ends the connection is told to all channels") {
  SUBCASE("the dial") {
    start(2, 2);
    network.refuse(0, "connection refused");
    for (const auto& link : links)
      CHECK(link->last_error().find("connection refused") != std::string::npos);
  }
  SUBCASE("before SETTINGS") {
    start(2, 2);
    accept(0).wire.end();
    loop.turn();
    CHECK(links[1]->last_error().find("before it was reversed") != std::string::npos);
  }
  SUBCASE("no extended CONNECT") {
    start(2, 2);
    accept(0).say(ptth::kFrameSettings, 0, 0, "");
    loop.turn();
    CHECK(links[1]->last_error().find("RFC 8441") != std::string::npos);
    loop.advance(Milliseconds(1'000));
  }
  SUBCASE("attached") {
    start(2, 2);
    attach_all().wire.fail({ptth::ErrorKind::kClosed, ptth::Side::kGateway, "it broke", false});
    loop.turn();
    CHECK(links[1]->last_error() == "it broke");
  }
  for (const auto& link : links)
    CHECK(link->state() == kBackingOff);
  CHECK(gauge("ptth_tunnel_connections") == 0);
}

TEST_CASE_FIXTURE(Stage, "tunnels: a dead path is noticed though the channels are silent") {
  start(2, 2);
  Outer& outer = attach_all();
  loop.advance(options.session.ping_after);
  CHECK(outer.heard() == Heard{{0, "ping"}});
  SUBCASE("answered") {
    outer.say(ptth::kFramePing, ptth::kFlagAck, 0, std::string(8, '\0'));
    loop.advance(options.session.ping_timeout);
    CHECK(links[0]->state() == kAttached);
  }
  SUBCASE("not") {
    loop.advance(options.session.ping_timeout);
    for (const auto& link : links) {
      CHECK(link->state() == kBackingOff);
      CHECK(link->last_error().find("PING") != std::string::npos);
    }
  }
}

TEST_CASE_FIXTURE(Stage, "tunnels: a link that leaves takes its channel along, the last one all") {
  start(2, 2);
  Outer& outer = attach_all();
  for (size_t link : {0U, 1U}) {
    links[link]->drain();
    loop.advance(Milliseconds(1'100));  // A request could have been on its way.
    CHECK(outer.heard() == Heard{{stream_of(link), "end"}});
    CHECK_FALSE(outer.wire.shut_down);
    outer.say(ptth::kFrameData, ptth::kFlagEndStream, stream_of(link), "");
    loop.turn();
    CHECK(links[link]->state() == kClosed);
  }
  CHECK(outer.heard() == Heard{{0, "goaway"}});
  CHECK(outer.wire.shut_down);
  outer.wire.end();
  loop.turn();
  CHECK(outer.wire.destroyed);
}

TEST_CASE_FIXTURE(Stage, "tunnels: a link that is cut resets its channel only") {
  start(2, 2);
  Outer& outer = attach_all();
  outer.data(1, kRequest);
  loop.turn();
  links[0].reset();
  loop.turn();
  CHECK(outer.heard() == Heard{{1, "reset"}});
  outer.data(3, kRequest);
  outer.data(1, kRequest);
  loop.turn();
  CHECK(origin.started == 2);
}

TEST_CASE_FIXTURE(
    Stage, "tunnels: what is replaced for new credentials, or its age, gets a new connection") {
  bool is_by_age = false;
  SUBCASE("credentials") {}
  SUBCASE("age") {
    is_by_age = true;
    options.max_age = Milliseconds(3'000);
  }
  start(2, 4);
  attach_all();
  if (is_by_age) {
    loop.advance(Milliseconds(2'500));
  } else {
    for (const auto& link : links)
      link->renew("new credentials");
    loop.advance(Milliseconds(5'000));
  }
  // One for both.
  REQUIRE(network.attempted().size() == 2);
  Outer& next = accept(1);
  next.settings();
  loop.turn();
  CHECK(next.heard() == Heard{{1, "hello"}, {3, "hello"}});
}
