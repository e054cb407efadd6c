// A link's share of the capacity, and what a gateway says of the priority of its requests.

#include "agent/relay/admission.h"
#include "agent/relay/http2_session.h"
#include "tests/support/scripted_gateway.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace ptth {

namespace {

constexpr uint32_t kProtocolError = 1;
constexpr uint32_t kFrameSizeError = 6;
constexpr uint32_t kRefusedStream = 7;
constexpr uint32_t kEnhanceYourCalm = 11;
constexpr uint8_t kFramePriorityUpdate = 0x10;

SessionOptions share_of(uint32_t streams) {
  SessionOptions options;
  options.capacity = streams;
  return options;
}

// MAX_CONCURRENT_STREAMS of each SETTINGS frame that has it.
std::vector<uint32_t> announced(ScriptedGateway& gateway) {
  std::vector<uint32_t> found;
  for (const TestFrame& frame : gateway.frames()) {
    if (frame.type != kFrameSettings || (frame.flags & kFlagAck) != 0) continue;
    for (size_t at = 0; at + 6 <= frame.payload.size(); at += 6) {
      if (frame.payload[at + 1] != 3) continue;
      uint32_t value = 0;
      for (size_t byte = 2; byte < 6; ++byte)
        value = value << 8 | frame.payload[at + byte];
      found.push_back(value);
    }
  }
  return found;
}

void acknowledge(ScriptedGateway& gateway) {
  gateway.send_frame(kFrameSettings, kFlagAck, 0, {});
}

void set_capacity(ScriptedGateway& gateway, uint32_t capacity) {
  gateway.session().set_capacity(capacity);
  gateway.loop.turn();
}

void send_priority(ScriptedGateway& gateway, uint32_t stream_id, const std::string& value,
                   int32_t on_stream = 0) {
  std::vector<uint8_t> payload = big_endian(stream_id);
  payload.insert(payload.end(), value.begin(), value.end());
  gateway.send_frame(kFramePriorityUpdate, 0, on_stream, payload);
}

// A gateway before an origin that takes one exchange at a time.
struct Stage {
  Stage() : gateway({}, loop, *admission) { gateway.attach(); }

  // The origin answers what it has in hand; the paths of all that it has seen.
  std::string serve_all() {
    for (size_t index = 0; index < origin.calls.size(); ++index) {
      origin.calls[index]->answer_head(204, BodyKind::kNone);
      origin.calls[index]->answer_end();
      loop.turn();
    }
    std::string paths;
    for (const auto& call : origin.calls)
      paths += call->head.path;
    return paths;
  }

  static AdmissionOptions options() {
    AdmissionOptions one;
    one.capacity.limit = 1;
    return one;
  }

  Loop loop{ClockMode::kManual};
  Metrics metrics;
  OriginWork work;
  CapacityShares shares{metrics, 0};
  ScriptedOrigin origin;
  std::unique_ptr<Admission> admission =
      make_admission({loop, metrics, origin, work, shares}, options());
  ScriptedGateway gateway;
};

}  // namespace

TEST_CASE("a share that rises is told and holds at once") {
  ScriptedGateway gateway(share_of(1));
  gateway.attach();
  gateway.get(1);
  set_capacity(gateway, 2);
  CHECK(announced(gateway) == std::vector<uint32_t>{1, 2});
  CHECK(gateway.session().capacity() == 2);
  gateway.get(3);
  gateway.get(5);
  CHECK(gateway.scripted_origin.calls.size() == 2);
  CHECK(gateway.reset_code(5) == kRefusedStream);
  set_capacity(gateway, 2);
  CHECK(announced(gateway).size() == 2);
}

TEST_CASE("a share that falls holds once the gateway knows it") {
  ScriptedGateway gateway(share_of(3));
  gateway.attach();
  gateway.get(1);
  gateway.get(3);
  set_capacity(gateway, 1);
  CHECK(announced(gateway) == std::vector<uint32_t>{3, 1});
  // On its way before the gateway could know.
  gateway.get(5);
  CHECK_FALSE(gateway.reset_code(5));
  acknowledge(gateway);
  gateway.get(7);
  CHECK(gateway.reset_code(7) == kRefusedStream);
  CHECK(gateway.scripted_origin.calls.size() == 3);
  for (size_t index = 0; index < 3; ++index) {
    gateway.call(index).answer_head(204, BodyKind::kNone);
    gateway.call(index).answer_end();
    gateway.loop.turn();
  }
  gateway.get(9);
  CHECK(gateway.scripted_origin.calls.size() == 4);
}

TEST_CASE("a share that is set before the gateway is attached is told then") {
  ScriptedGateway gateway(share_of(3));
  set_capacity(gateway, 8);
  CHECK(announced(gateway) == std::vector<uint32_t>{3});
  gateway.attach();
  gateway.loop.turn();
  CHECK(announced(gateway) == std::vector<uint32_t>{3, 8});
}

TEST_CASE("where a lowered limit costs a request, it stays above what is open") {
  SessionOptions options = share_of(50);
  options.drain_style = DrainStyle::kHoldAndClose;
  options.capacity_in_second_settings = true;
  ScriptedGateway gateway(options);
  gateway.attach();
  acknowledge(gateway);
  for (int32_t stream_id = 1; stream_id < 21; stream_id += 2)
    gateway.get(stream_id);
  set_capacity(gateway, 3);
  CHECK(announced(gateway) == std::vector<uint32_t>{50, 19});
  CHECK(gateway.session().capacity() == 19);
}

TEST_CASE("a session that drains does not move its share") {
  ScriptedGateway gateway(share_of(3));
  gateway.attach();
  gateway.get(1);
  gateway.session().drain();
  gateway.loop.turn();
  for (const TestFrame& frame : gateway.frames()) {
    if (frame.type == kFramePing) gateway.send_frame(kFramePing, kFlagAck, 0, frame.payload);
  }
  set_capacity(gateway, 9);
  CHECK(announced(gateway) == std::vector<uint32_t>{3});
}

TEST_CASE("the demand on a link is what was open and what was refused") {
  ScriptedGateway gateway(share_of(2));
  gateway.attach();
  CHECK(gateway.session().take_demand() == 0);
  for (const int32_t stream_id : {1, 3, 5, 7, 9})
    gateway.get(stream_id);
  gateway.call(0).answer_head(204, BodyKind::kNone);
  gateway.call(0).answer_end();
  gateway.loop.turn();
  CHECK(gateway.session().take_demand() == 5);
  CHECK(gateway.session().take_demand() == 1);
}

TEST_CASE("with answers instead of resets, 503 says that the link has its share open") {
  SessionOptions options = share_of(1);
  options.refusal = ReplayStyle::kAnswer;
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.get(1);
  gateway.get(3);
  CHECK(gateway.status(3) == "503");
  CHECK(gateway.find(kFrameHeaders, 3)->field("retry-after") == "1");
  CHECK_FALSE(gateway.reset_code(3));
  CHECK(gateway.scripted_origin.calls.size() == 1);
  CHECK(gateway.session().exchanges_in_flight() == 1);
  // Also to a request whose body has not come yet; the rest of that is not wanted.
  gateway.request(5, request_fields("POST", "/"), 0);
  CHECK(gateway.status(5) == "503");
  gateway.loop.advance(ptth::Milliseconds(1'000));
  CHECK(gateway.session().exchanges_in_flight() == 1);
}

TEST_CASE("answers above the share are bounded, too") {
  SessionOptions options = share_of(1);
  options.refusal = ReplayStyle::kAnswer;
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.get(1);
  // It reads no answers.
  gateway.stream.set_unsent(size_t{1} << 30);
  for (int32_t stream_id = 3; stream_id < 203; stream_id += 2)
    gateway.get(stream_id);
  CHECK(gateway.session().exchanges_in_flight() <= 34);
}

TEST_CASE("PRIORITY_UPDATE changes the turn of a request that waits") {
  Stage stage;
  stage.gateway.get(1, "/first");
  stage.gateway.get(3, "/a");
  stage.gateway.get(5, "/b");
  stage.gateway.get(7, "/c");
  send_priority(stage.gateway, 5, "u=0, i");
  send_priority(stage.gateway, 3, "u=7");
  CHECK(stage.serve_all() == "/first/b/c/a");
}

TEST_CASE("PRIORITY_UPDATE may come before its request, and outranks the field") {
  Stage stage;
  stage.gateway.get(1, "/first");
  send_priority(stage.gateway, 5, "u=1");
  stage.gateway.request(3, request_fields("GET", "/a", {{"priority", "u=2"}}));
  stage.gateway.request(5, request_fields("GET", "/b", {{"priority", "u=6"}}));
  CHECK(stage.serve_all() == "/first/b/a");
}

TEST_CASE("PRIORITY_UPDATE that says nothing changes nothing") {
  Stage stage;
  stage.gateway.get(1, "/first");
  stage.gateway.get(3, "/a");
  stage.gateway.get(5, "/b");
  send_priority(stage.gateway, 5, "u=0,,");
  send_priority(stage.gateway, 5, "\xff\x00");
  send_priority(stage.gateway, 5, "u=0;" + std::string(1000, 'x'));
  // Over, never begun, and in hand.
  for (const uint32_t stream_id : {1U, 101U, 0x7fffffffU})
    send_priority(stage.gateway, stream_id, "u=0");
  CHECK(stage.serve_all() == "/first/a/b");
  CHECK_FALSE(stage.gateway.ended.has_value());
}

TEST_CASE("PRIORITY_UPDATE that breaks the rules ends the connection") {
  const auto ends_with = [](const auto& send) {
    ScriptedGateway gateway;
    gateway.attach();
    gateway.get(1);
    send(gateway);
    gateway.loop.turn();
    return gateway.goaway_code();
  };
  CHECK(ends_with([](auto& gateway) { send_priority(gateway, 0, "u=0"); }) == kProtocolError);
  CHECK(ends_with([](auto& gateway) { send_priority(gateway, 2, "u=0"); }) == kProtocolError);
  CHECK(ends_with([](auto& gateway) { send_priority(gateway, 1, "u=0", 1); }) == kProtocolError);
  CHECK(ends_with([](auto& gateway) {
          gateway.send_frame(kFramePriorityUpdate, 0, 0, {0, 0, 1});
        }) == kFrameSizeError);
}

TEST_CASE("a flood of PRIORITY_UPDATE is a flood of control frames") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  int frames = 0;
  while (frames < 10'000 && !gateway.goaway_code()) {
    send_priority(gateway, static_cast<uint32_t>(2 * frames + 3), "u=1");
    ++frames;
  }
  CHECK(frames > 500);
  CHECK(frames < 2500);
  while (frames < 10'000 && gateway.goaway_code() != kEnhanceYourCalm) {
    send_priority(gateway, 3, "u=1");
    ++frames;
    if (gateway.ended.has_value()) break;
  }
  CHECK(gateway.ended.has_value());
}

}  // namespace ptth
