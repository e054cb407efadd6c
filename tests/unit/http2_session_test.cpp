#include "agent/relay/http2_session.h"

#include "tests/support/scripted_gateway.h"

#include <optional>
#include <string>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::DrainStyle;
using ptth::ErrorKind;
using ptth::FieldList;
using ptth::Milliseconds;
using ptth::request_fields;
using ptth::ScriptedGateway;
using ptth::SessionOptions;
using ptth::Side;

namespace {

constexpr uint32_t kNoError = 0;
constexpr uint32_t kInternalError = 2;
constexpr uint32_t kRefusedStream = 7;

FieldList fields(std::initializer_list<ptth::Field> list) {
  FieldList out;
  for (const ptth::Field field : list)
    out.add(field.name, field.value);
  return out;
}

SessionOptions capacity(uint32_t streams) {
  SessionOptions options;
  options.capacity = streams;
  return options;
}

// The streams of the DATA frames, in their order; runs of one stream are one.
std::vector<int32_t> order_of_data(ScriptedGateway& gateway) {
  std::vector<int32_t> order;
  for (const ptth::TestFrame& frame : gateway.frames()) {
    if (frame.type != ptth::kFrameData || frame.payload.empty()) continue;
    if (order.empty() || order.back() != frame.stream_id) order.push_back(frame.stream_id);
  }
  return order;
}

void get_urgently(ScriptedGateway& gateway, int32_t stream_id, const std::string& priority) {
  gateway.request(stream_id, request_fields("GET", "/", {{"priority", priority}}));
}

void answer(ScriptedGateway& gateway, size_t call, size_t bytes) {
  gateway.call(call).answer_head(200, BodyKind::kUnknown);
  gateway.call(call).answer_body(std::string(bytes, 'x'));
  gateway.call(call).answer_end();
}

// PRIORITY_UPDATE (RFC 9218 section 7.1).
void update_priority(ScriptedGateway& gateway, int32_t stream_id, const std::string& priority) {
  std::vector<uint8_t> payload = ptth::big_endian(static_cast<uint32_t>(stream_id));
  payload.insert(payload.end(), priority.begin(), priority.end());
  gateway.send_frame(0x10, 0, 0, payload);
}

}  // namespace

TEST_CASE("a session is attached when the gateway's SETTINGS and its acknowledgement have come") {
  ScriptedGateway gateway;
  CHECK(gateway.find(ptth::kFrameSettings, 0) != nullptr);
  gateway.send_frame(ptth::kFrameSettings, 0, 0, {});
  CHECK_FALSE(gateway.attached);
  gateway.send_frame(ptth::kFrameSettings, ptth::kFlagAck, 0, {});
  CHECK(gateway.attached);
}

TEST_CASE("a session that is not acknowledged in time ends with a timeout") {
  ScriptedGateway gateway;
  gateway.loop.advance(Milliseconds(10'000));
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.ended->kind == ErrorKind::kTimeout);
}

TEST_CASE("the capacity is in the first SETTINGS, or in a second one where the profile asks so") {
  const auto streams_announced = [](ScriptedGateway& gateway) {
    std::vector<uint32_t> found;
    for (const ptth::TestFrame& frame : gateway.frames()) {
      if (frame.type != ptth::kFrameSettings || (frame.flags & ptth::kFlagAck) != 0) continue;
      uint32_t value = 0;
      for (size_t at = 0; at + 6 <= frame.payload.size(); at += 6) {
        if (frame.payload[at + 1] == 3) value = frame.number_at(at + 2);
      }
      found.push_back(value);
    }
    return found;
  };
  ScriptedGateway first(capacity(7));
  first.attach();
  CHECK(streams_announced(first) == std::vector<uint32_t>{7});

  SessionOptions options = capacity(7);
  options.capacity_in_second_settings = true;
  ScriptedGateway second(options);
  second.attach();
  CHECK(streams_announced(second) == std::vector<uint32_t>{0, 7});
}

TEST_CASE("origins are announced right behind SETTINGS, in as many frames as they need") {
  const auto announced = [](const std::vector<std::string>& origins) {
    SessionOptions options;
    options.origin_frame = origins;
    ScriptedGateway gateway(options);
    std::vector<std::string> found;
    bool is_behind_settings = false;
    uint8_t before = 0;
    for (const ptth::TestFrame& frame : gateway.frames()) {
      if (frame.type == ptth::kFrameOrigin) {
        CHECK(frame.stream_id == 0);
        CHECK(frame.flags == 0);
        CHECK(frame.payload.size() <= 16384);
        is_behind_settings |= before == ptth::kFrameSettings;
        for (size_t at = 0; at < frame.payload.size();) {
          const size_t size = frame.payload[at] * size_t{256} + frame.payload[at + 1];
          found.emplace_back(frame.payload.begin() + static_cast<ptrdiff_t>(at + 2),
                             frame.payload.begin() + static_cast<ptrdiff_t>(at + 2 + size));
          at += 2 + size;
        }
      }
      before = frame.type;
    }
    CHECK(is_behind_settings != origins.empty());
    CHECK(found == origins);
  };
  announced({});
  announced({"https://app.example", "https://*.app.example:8443"});
  std::vector<std::string> many;
  for (int number = 0; number < 200; ++number)
    many.push_back("https://" + std::to_string(number) + std::string(200, 'a') + ".example");
  announced(many);
}

TEST_CASE("a request reaches the origin and its answer the gateway") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.request(1, request_fields("GET", "/a?b=c", {{"accept", "*/*"}}));
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
  CHECK(gateway.call(0).head.method == "GET");
  CHECK(gateway.call(0).head.path == "/a?b=c");
  CHECK(gateway.call(0).head.authority == "app.example");
  CHECK(gateway.call(0).head.body == BodyKind::kNone);
  CHECK(gateway.call(0).body_ended);
  gateway.call(0).answer_head(200, BodyKind::kLength, fields({{"content-length", "5"}}));
  gateway.call(0).answer_body("hello");
  gateway.call(0).answer_end();
  CHECK(gateway.status(1) == "200");
  CHECK(gateway.body(1) == "hello");
  CHECK(gateway.session().exchanges_in_flight() == 0);
}

TEST_CASE("interim answers, trailers and an answer without body pass as they are") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  ptth::ResponseHead hints;
  hints.status = 103;
  hints.fields.add("link", "</a.css>");
  gateway.call(0).listener->on_interim_response(hints);
  gateway.call(0).answer_head(200, BodyKind::kUnknown);
  gateway.call(0).answer_body("x");
  gateway.call(0).answer_end(fields({{"digest", "abc"}}));
  std::vector<std::string> seen;
  for (const ptth::TestFrame& frame : gateway.frames()) {
    if (frame.type != ptth::kFrameHeaders) continue;
    seen.push_back(frame.field(":status") + frame.field("link") + frame.field("digest"));
  }
  CHECK(seen == std::vector<std::string>{"103</a.css>", "200", "abc"});

  gateway.get(3);
  gateway.call(1).answer_head(204, BodyKind::kNone);
  gateway.call(1).answer_end();
  CHECK(gateway.status(3) == "204");
  CHECK(gateway.find(ptth::kFrameHeaders, 3)->ends_stream());
  CHECK(gateway.count(ptth::kFrameData, 3) == 0);
}

TEST_CASE("a body of unknown length and its trailers reach the origin") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.request(1, request_fields("POST", "/"), 0);
  CHECK(gateway.call(0).head.body == BodyKind::kUnknown);
  gateway.data(1, "one ");
  gateway.data(1, "two");
  CHECK_FALSE(gateway.call(0).body_ended);
  gateway.request(1, {{"digest", "abc"}, {"authorization", "no"}});
  CHECK(gateway.call(0).body == "one two");
  CHECK(gateway.call(0).body_ended);
  CHECK(gateway.call(0).trailers.find("digest") == "abc");
  CHECK_FALSE(gateway.call(0).trailers.find("authorization").has_value());
}

TEST_CASE("an early answer is delivered and the rest of the upload called off") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.request(1, request_fields("POST", "/"), 0);
  gateway.data(1, "part");
  gateway.call(0).answer_head(413, BodyKind::kNone);
  gateway.call(0).answer_end();
  CHECK(gateway.status(1) == "413");
  // HAProxy would lose the answer.
  CHECK_FALSE(gateway.reset_code(1).has_value());
  SUBCASE("after a moment, in which no credit is given") {
    gateway.data(1, std::string(16'000, 'x'));
    gateway.loop.advance(Milliseconds(1'000));
    CHECK(gateway.count(ptth::kFrameWindowUpdate, 1) == 0);
    CHECK(gateway.reset_code(1) == kNoError);
  }
  SUBCASE("unless it has ended by then") {
    gateway.data(1, "rest", ptth::kFlagEndStream);
    CHECK(gateway.session().exchanges_in_flight() == 0);
    gateway.loop.advance(Milliseconds(2'000));
    CHECK_FALSE(gateway.reset_code(1).has_value());
  }
}

TEST_CASE("requests beyond the capacity are refused before the origin sees them") {
  ScriptedGateway gateway(capacity(2));
  gateway.attach();
  gateway.get(1);
  gateway.get(3);
  gateway.get(5);
  CHECK(gateway.scripted_origin.calls.size() == 2);
  CHECK(gateway.reset_code(5) == kRefusedStream);
  CHECK_FALSE(gateway.ended.has_value());
  gateway.call(0).answer_head(204, BodyKind::kNone);
  gateway.call(0).answer_end();
  CHECK(gateway.status(1) == "204");
  gateway.get(7);
  CHECK(gateway.scripted_origin.calls.size() == 3);
}

TEST_CASE("a reset by the gateway cancels the origin's work") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  gateway.send_frame(ptth::kFrameReset, 0, 1, ptth::big_endian(8));
  CHECK(gateway.call(0).cancelled);
  CHECK(gateway.session().exchanges_in_flight() == 0);
}

TEST_CASE("a request that is taken back as soon as it is sent never reaches the origin") {
  ScriptedGateway gateway;
  gateway.attach();
  std::vector<uint8_t> bytes;
  for (const int32_t stream_id : {1, 3}) {
    const auto head = ptth::make_frame(ptth::kFrameHeaders, ptth::kFlagEndHeaders, stream_id,
                                       ptth::encode_fields(request_fields("POST", "/")));
    bytes.insert(bytes.end(), head.begin(), head.end());
    const auto body = ptth::make_frame(ptth::kFrameData, 0, stream_id, ptth::big_endian(7));
    bytes.insert(bytes.end(), body.begin(), body.end());
  }
  const auto reset = ptth::make_frame(ptth::kFrameReset, 0, 1, ptth::big_endian(8));
  bytes.insert(bytes.end(), reset.begin(), reset.end());
  gateway.send(bytes);
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
  CHECK(gateway.call(0).body.size() == 4);
}

TEST_CASE("an origin that fails is a 502 before the answer's head and a reset after it") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  gateway.call(0).fail({ErrorKind::kUnreachable, Side::kOrigin, "refused"});
  CHECK(gateway.status(1) == "502");
  CHECK(gateway.find(ptth::kFrameHeaders, 1)->field("proxy-status").find("connection_refused") !=
        std::string::npos);

  gateway.get(3);
  gateway.call(1).answer_head(200, BodyKind::kUnknown);
  gateway.call(1).answer_body("half");
  CHECK(gateway.body(3) == "half");
  gateway.call(1).fail({ErrorKind::kClosed, Side::kOrigin, "closed"});
  CHECK(gateway.reset_code(3) == kInternalError);
}

TEST_CASE("an overload that is safe to retry is a refused stream, not an answer") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  gateway.call(0).fail({ErrorKind::kOverload, Side::kLocal, "full", true});
  CHECK(gateway.status(1).empty());
  CHECK(gateway.reset_code(1) == kRefusedStream);
}

TEST_CASE("the origin is paused above the response mark and resumed when the gateway takes it") {
  SessionOptions options;
  options.limits.response_buffer_bytes = 100'000;
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.get(1);
  gateway.call(0).answer_head(200, BodyKind::kUnknown);
  gateway.call(0).answer_body(std::string(170'000, 'x'));
  // The gateway's window is 65535 bytes.
  CHECK(gateway.body(1).size() == 65'535);
  CHECK(gateway.call(0).paused);
  gateway.send_frame(ptth::kFrameWindowUpdate, 0, 1, ptth::big_endian(500'000));
  gateway.send_frame(ptth::kFrameWindowUpdate, 0, 0, ptth::big_endian(500'000));
  CHECK(gateway.body(1).size() == 170'000);
  CHECK_FALSE(gateway.call(0).paused);
}

TEST_CASE(
    "credit of a stream returns only when the origin took the bytes, that of the link at once") {
  SessionOptions options;
  options.limits.stream_window_bytes = 65'535;
  options.limits.link_window_bytes = 200'000;
  ScriptedGateway gateway(options);
  gateway.attach();
  const size_t link_updates = gateway.count(ptth::kFrameWindowUpdate, 0);
  gateway.request(1, request_fields("POST", "/"), 0);
  for (int part = 0; part < 4; ++part)
    gateway.data(1, std::string(16'000, 'x'));
  CHECK(gateway.count(ptth::kFrameWindowUpdate, 1) == 0);
  gateway.request(3, request_fields("POST", "/"), 0);
  for (int part = 0; part < 4; ++part)
    gateway.data(3, std::string(16'000, 'y'));
  CHECK(gateway.count(ptth::kFrameWindowUpdate, 0) > link_updates);
  gateway.call(0).take(64'000);
  CHECK(gateway.count(ptth::kFrameWindowUpdate, 1) == 1);
  CHECK(gateway.count(ptth::kFrameWindowUpdate, 3) == 0);
}

TEST_CASE("the window of an upload grows while the origin keeps pace, up to its maximum") {
  SessionOptions options;
  options.limits.stream_window_bytes = 65'535;
  options.limits.stream_window_bytes_max = 131'070;
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.request(1, request_fields("POST", "/"), 0);
  uint64_t credit = 65'535;
  size_t sent = 0;
  size_t updates_seen = 0;
  for (int part = 0; part < 40; ++part) {
    gateway.data(1, std::string(16'000, 'x'));
    sent += 16'000;
    gateway.call(0).take(16'000);
    size_t index = 0;
    for (const ptth::TestFrame& frame : gateway.frames()) {
      if (frame.type != ptth::kFrameWindowUpdate || frame.stream_id != 1) continue;
      if (index++ < updates_seen) continue;
      credit += frame.number_at(0);
      ++updates_seen;
    }
  }
  CHECK(credit - sent > 65'535);
  CHECK(credit - sent <= 131'070);
}

TEST_CASE("nothing is produced while the stream's buffer is above its mark") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.stream.set_unsent(10'000'000);
  gateway.get(1);
  gateway.call(0).answer_head(200, BodyKind::kUnknown);
  gateway.call(0).answer_body("later");
  CHECK(gateway.status(1).empty());
  gateway.stream.set_unsent(0);
  CHECK(gateway.status(1) == "200");
  CHECK(gateway.body(1) == "later");
}

TEST_CASE("a PING is sent after silence and the session ends when it is not answered") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.loop.advance(Milliseconds(5'100));
  CHECK(gateway.count(ptth::kFramePing, 0) == 1);
  CHECK_FALSE(gateway.ended.has_value());
  gateway.send_frame(ptth::kFramePing, ptth::kFlagAck, 0, std::vector<uint8_t>(8));
  gateway.loop.advance(Milliseconds(4'500));
  CHECK_FALSE(gateway.ended.has_value());
  gateway.loop.advance(Milliseconds(10'000));
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.ended->kind == ErrorKind::kTimeout);
}

namespace {

SessionOptions quiet_drain_options() {
  SessionOptions options;
  options.drain_style = DrainStyle::kHoldAndClose;
  return options;
}

std::vector<uint8_t> ping_answer() {
  return ptth::make_frame(ptth::kFramePing, ptth::kFlagAck, 0, std::vector<uint8_t>(8));
}

// Answers the session's next PING.
void answer_ping(ScriptedGateway& gateway) {
  gateway.loop.advance(Milliseconds(20));
  gateway.send(ping_answer());
}

void answer_briefly(ScriptedGateway& gateway, size_t call) {
  gateway.call(call).answer_head(204, BodyKind::kNone);
  gateway.call(call).answer_end();
  gateway.loop.advance(Milliseconds(0));
}

void acknowledge(ScriptedGateway& gateway) {
  gateway.send_frame(ptth::kFrameSettings, ptth::kFlagAck, 0, {});
}

void answer_pings(ScriptedGateway& gateway, int count) {
  for (int round = 0; round < count; ++round)
    answer_ping(gateway);
}

// The first round counts for nothing: it began before what disturbed it.
constexpr int kPingsUntilLowered = 1 + 2;
constexpr int kPingsUntilRelease = 2;
constexpr int kPingsUntilIdleLowered = 1 + 10;
constexpr int kPingsUntilIdleEnd = 6;

// One exchange that the origin has seen, and one that waits.
void drain_with_two(ScriptedGateway& gateway) {
  gateway.attach();
  gateway.get(1);
  gateway.session().drain();
  gateway.get(3);
}

// Until there is room for those only who may be on their way, and the gateway knows.
void answer_until_lowered(ScriptedGateway& gateway) {
  answer_pings(gateway, kPingsUntilLowered);
  acknowledge(gateway);
}

// With nothing open.
void answer_until_idle_end(ScriptedGateway& gateway) {
  answer_pings(gateway, kPingsUntilIdleLowered);
  acknowledge(gateway);
  answer_pings(gateway, kPingsUntilIdleEnd);
}

// An idle link, which its first request fills.
void drain_until_one_fills(ScriptedGateway& gateway) {
  gateway.attach();
  gateway.session().drain();
  answer_pings(gateway, kPingsUntilIdleLowered);
  acknowledge(gateway);
  gateway.get(1);
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
}

// Told after the session's first SETTINGS.
std::optional<uint32_t> last_limit(ScriptedGateway& gateway) {
  std::optional<uint32_t> limit;
  for (const ptth::TestFrame& frame : gateway.frames()) {
    const bool is_limit = frame.type == ptth::kFrameSettings && frame.payload.size() == 6;
    if (is_limit) limit = frame.number_at(2);
  }
  return limit;
}

// The value of the last SETTINGS frame, and whether the end of the stream came after it.
struct LimitBeforeEnd {
  uint32_t limit = 0;
  bool end_follows = false;
};

LimitBeforeEnd limit_before_end(ScriptedGateway& gateway, int32_t stream_id) {
  LimitBeforeEnd seen;
  for (const ptth::TestFrame& frame : gateway.frames()) {
    const bool is_settings = frame.type == ptth::kFrameSettings && frame.payload.size() == 6;
    if (is_settings) seen = {frame.number_at(2), false};
    if (frame.stream_id == stream_id && (frame.flags & ptth::kFlagEndStream) != 0) {
      seen.end_follows = true;
      return seen;
    }
  }
  return seen;
}

}  // namespace

TEST_CASE("a quiet drain serves all that came, and lets the gateway fill the link first") {
  ScriptedGateway gateway(quiet_drain_options());
  drain_with_two(gateway);
  answer_pings(gateway, kPingsUntilLowered - 1);
  CHECK_FALSE(last_limit(gateway).has_value());
  answer_ping(gateway);
  CHECK(last_limit(gateway) == 4U);  // Two are open, and two may be on their way.
  acknowledge(gateway);
  CHECK(gateway.scripted_origin.calls.size() == 1);
  answer_pings(gateway, kPingsUntilRelease);
  CHECK(gateway.scripted_origin.calls.size() == 2);
  for (size_t call = 0; call < 2; ++call)
    answer_briefly(gateway, call);
  CHECK(limit_before_end(gateway, 1).limit == 3);
  CHECK(limit_before_end(gateway, 1).end_follows);
  CHECK(limit_before_end(gateway, 3).limit == 2);
  CHECK(limit_before_end(gateway, 3).end_follows);
  acknowledge(gateway);
  acknowledge(gateway);
  gateway.get(5);
  CHECK(gateway.scripted_origin.calls.size() == 2);
  gateway.get(7);  // The link is full, and nothing more can come.
  REQUIRE(gateway.scripted_origin.calls.size() == 4);
  answer_briefly(gateway, 2);
  CHECK(limit_before_end(gateway, 5).limit == 1);
  CHECK_FALSE(gateway.goaway_code().has_value());
  answer_briefly(gateway, 3);
  CHECK(gateway.status(7) == "204");
  CHECK(gateway.goaway_code() == kNoError);
  CHECK(gateway.count(ptth::kFrameReset, 3) == 0);
  // The connection is closed only when the gateway has read everything.
  CHECK(gateway.stream.is_shut_down());
  CHECK_FALSE(gateway.ended.has_value());
  gateway.stream.deliver_end();
  CHECK(gateway.ended.has_value());
}

TEST_CASE("a quiet drain takes who comes by himself to fill the link") {
  ScriptedGateway gateway(quiet_drain_options());
  drain_with_two(gateway);
  answer_pings(gateway, kPingsUntilLowered);
  REQUIRE(last_limit(gateway) == 4U);
  SUBCASE("once the limit is known") {
    acknowledge(gateway);
    gateway.get(5);
  }
  SUBCASE("also when the first of them crossed it") {
    gateway.get(5);
    acknowledge(gateway);
  }
  CHECK(gateway.scripted_origin.calls.size() == 1);
  gateway.get(7);
  REQUIRE(gateway.scripted_origin.calls.size() == 4);
  for (size_t call = 0; call < 4; ++call)
    answer_briefly(gateway, call);
  CHECK(last_limit(gateway) == 1U);
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("as many users are answered as may ask again before the link is full, the oldest first") {
  ScriptedGateway gateway(quiet_drain_options());
  gateway.attach();
  gateway.session().drain();
  for (int32_t stream_id = 1; stream_id <= 19; stream_id += 2)
    gateway.get(stream_id);
  answer_pings(gateway, kPingsUntilLowered);
  REQUIRE(last_limit(gateway) == 18U);
  acknowledge(gateway);
  answer_pings(gateway, kPingsUntilRelease);
  REQUIRE(gateway.scripted_origin.calls.size() == 8);
  for (size_t call = 0; call < 8; ++call)
    answer_briefly(gateway, call);
  CHECK(gateway.status(15) == "204");
  REQUIRE(last_limit(gateway) == 10U);
  // Five of the eight ask again, and then it is quiet.
  for (int32_t stream_id = 21; stream_id <= 29; stream_id += 2)
    gateway.get(stream_id);
  answer_pings(gateway, kPingsUntilLowered);
  CHECK(gateway.scripted_origin.calls.size() == 8 + 3);
  CHECK(last_limit(gateway) == 10U);
}

TEST_CASE(
    "the limit does not fall with the end of a long answer, which the gateway may still have") {
  ScriptedGateway gateway(quiet_drain_options());
  drain_with_two(gateway);
  answer_until_lowered(gateway);
  REQUIRE(last_limit(gateway) == 4U);
  gateway.call(0).answer_head(200, BodyKind::kUnknown);
  gateway.call(0).answer_body(std::string(size_t{9} * 1024, 'x'));
  gateway.call(0).answer_end();
  gateway.loop.advance(Milliseconds(0));
  REQUIRE(limit_before_end(gateway, 1).end_follows);
  CHECK(last_limit(gateway) == 4U);
  // There is more room now than is wanted.
  answer_pings(gateway, kPingsUntilLowered);
  CHECK(last_limit(gateway) == 3U);
}

TEST_CASE("who comes while answers are still to be written does not fill the link") {
  ScriptedGateway gateway(quiet_drain_options());
  drain_with_two(gateway);
  answer_until_lowered(gateway);
  answer_pings(gateway, kPingsUntilRelease);
  REQUIRE(gateway.scripted_origin.calls.size() == 2);
  for (size_t call = 0; call < 2; ++call) {
    gateway.call(call).answer_head(204, BodyKind::kNone);
    gateway.call(call).answer_end();
  }
  gateway.get(5);
  REQUIRE(limit_before_end(gateway, 3).end_follows);
  CHECK(last_limit(gateway) == 2U);
  CHECK(gateway.scripted_origin.calls.size() == 2);
  gateway.get(7);
  CHECK(gateway.scripted_origin.calls.size() == 4);
}

TEST_CASE("a link that is being attached is drained once it is attached") {
  // HAProxy sends requests on it as soon as TLS is there.
  ScriptedGateway gateway(quiet_drain_options());
  gateway.session().drain();
  gateway.loop.advance(Milliseconds(0));
  REQUIRE_FALSE(gateway.goaway_code().has_value());
  gateway.attach();
  gateway.get(1);
  answer_until_lowered(gateway);
  answer_pings(gateway, kPingsUntilRelease);
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
  answer_briefly(gateway, 0);
  CHECK(gateway.status(1) == "204");
  acknowledge(gateway);
  answer_until_idle_end(gateway);
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("a link whose gateway says nothing is not waited for with a drain") {
  const SessionOptions options = quiet_drain_options();
  ScriptedGateway gateway(options);
  gateway.session().drain();
  gateway.loop.advance(options.limits.drain_hold);
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("an idle link is left after some round trips, or when none comes back") {
  for (const bool gateway_answers : {true, false}) {
    CAPTURE(gateway_answers);
    const SessionOptions options = quiet_drain_options();
    ScriptedGateway gateway(options);
    gateway.attach();
    gateway.session().drain();
    if (gateway_answers) {
      answer_pings(gateway, kPingsUntilIdleLowered);
      CHECK(last_limit(gateway) == 1U);
      acknowledge(gateway);
      answer_pings(gateway, kPingsUntilIdleEnd - 1);
      CHECK_FALSE(gateway.goaway_code().has_value());
      answer_ping(gateway);
    } else {
      CHECK_FALSE(gateway.goaway_code().has_value());
      gateway.loop.advance(options.limits.drain_hold);
    }
    CHECK(gateway.goaway_code() == kNoError);
    CHECK(gateway.stream.is_shut_down());
  }
}

TEST_CASE("an idle link is left with the first request that comes, which fills it") {
  ScriptedGateway gateway(quiet_drain_options());
  drain_until_one_fills(gateway);
  CHECK_FALSE(gateway.goaway_code().has_value());
  answer_briefly(gateway, 0);
  CHECK(gateway.status(1) == "204");
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("a short answer for which the gateway has no window is not left behind") {
  ScriptedGateway gateway(quiet_drain_options());
  gateway.attach();
  gateway.get(1);
  gateway.call(0).answer_head(200, BodyKind::kUnknown);
  gateway.call(0).answer_body(std::string(65'535, 'x'));
  gateway.call(0).answer_end();
  gateway.get(3);
  gateway.call(1).answer_head(200, BodyKind::kUnknown);
  gateway.call(1).answer_body("hello");
  gateway.call(1).answer_end();
  gateway.loop.advance(Milliseconds(0));
  REQUIRE(gateway.body(3).empty());
  gateway.session().drain();
  answer_until_idle_end(gateway);
  CHECK_FALSE(gateway.goaway_code().has_value());
  gateway.send_frame(ptth::kFrameWindowUpdate, 0, 0, {0, 0, 1, 0});
  CHECK(gateway.body(3) == "hello");
  answer_until_idle_end(gateway);
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("a request in the same bytes as the answer to a PING disturbs the quiet") {
  ScriptedGateway gateway(quiet_drain_options());
  gateway.attach();
  gateway.session().drain();
  answer_pings(gateway, kPingsUntilIdleLowered - 1);
  gateway.loop.advance(Milliseconds(20));
  std::vector<uint8_t> bytes = ping_answer();
  const std::vector<uint8_t> request =
      ptth::make_frame(ptth::kFrameHeaders, ptth::kFlagEndStream | ptth::kFlagEndHeaders, 1,
                       ptth::encode_fields(ptth::request_fields("GET", "/")));
  bytes.insert(bytes.end(), request.begin(), request.end());
  gateway.send(bytes);
  CHECK_FALSE(last_limit(gateway).has_value());
}

TEST_CASE("a turn that took long is not quiet: what came meanwhile is still unread") {
  ScriptedGateway gateway(quiet_drain_options());
  gateway.attach();
  gateway.session().drain();
  answer_pings(gateway, kPingsUntilIdleLowered - 1);
  gateway.loop.advance(Milliseconds(20));
  gateway.stream.deliver(ping_answer());
  gateway.loop.linger(Milliseconds(6));
  gateway.loop.turn();
  CHECK_FALSE(last_limit(gateway).has_value());
}

TEST_CASE("an idle link whose gateway is far away is not left early, but once it is silent") {
  const SessionOptions options = quiet_drain_options();
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.session().drain();
  const Milliseconds round_trip(200);
  for (Milliseconds passed(0); passed <= options.limits.drain_hold; passed += round_trip) {
    gateway.loop.advance(round_trip);
    gateway.send(ping_answer());
    CHECK_FALSE(gateway.goaway_code().has_value());
  }
  gateway.loop.advance(2 * options.limits.drain_hold);
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("requests that cross a lowered limit get the old one back, and the drain goes on") {
  ScriptedGateway gateway(quiet_drain_options());
  gateway.attach();
  SUBCASE("more than there was room for") {
    gateway.get(1);
    gateway.session().drain();
    answer_pings(gateway, kPingsUntilLowered);
    REQUIRE(last_limit(gateway) == 3U);
    gateway.get(3);
    CHECK(last_limit(gateway) == 3U);
    gateway.get(5);
  }
  SUBCASE("on an idle link, any") {
    gateway.session().drain();
    answer_pings(gateway, kPingsUntilIdleLowered);
    REQUIRE(last_limit(gateway) == 1U);
    gateway.get(1);
  }
  // Else the link would be full in HAProxy's pool, and the next request fail.
  CHECK(last_limit(gateway) == SessionOptions().capacity);
  acknowledge(gateway);
  acknowledge(gateway);
  gateway.loop.advance(SessionOptions().limits.drain_hold);
  for (size_t call = 0; call < gateway.scripted_origin.calls.size(); ++call) {
    answer_briefly(gateway, call);
    CHECK(gateway.status(static_cast<int32_t>(2 * call + 1)) == "204");
  }
  CHECK_FALSE(gateway.goaway_code().has_value());
  answer_until_idle_end(gateway);
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("a gateway that gives up a request while it drains has room for one more, which waits") {
  ScriptedGateway gateway(quiet_drain_options());
  drain_until_one_fills(gateway);
  gateway.send_frame(ptth::kFrameReset, 0, 1, {0, 0, 0, 8});
  CHECK_FALSE(gateway.goaway_code().has_value());
  gateway.get(3);
  REQUIRE(gateway.scripted_origin.calls.size() == 2);
  answer_briefly(gateway, 1);
  CHECK(gateway.status(3) == "204");
  CHECK(gateway.goaway_code() == kNoError);
}

TEST_CASE("a request that waited for long enough is served whole, body and all") {
  const SessionOptions options = quiet_drain_options();
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.get(1);
  gateway.session().drain();
  gateway.request(3, ptth::request_fields("POST", "/", {{"content-length", "5"}}), 0);
  gateway.data(3, "hello", ptth::kFlagEndStream);
  CHECK(gateway.scripted_origin.calls.size() == 1);
  gateway.loop.advance(options.limits.drain_hold);
  REQUIRE(gateway.scripted_origin.calls.size() == 2);
  CHECK(gateway.call(1).body == "hello");
  CHECK(gateway.call(1).body_ended);
}

TEST_CASE("a session that announces its drain still serves what was on its way") {
  SessionOptions options;
  options.drain_style = DrainStyle::kAnnounce;
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.session().drain();
  const ptth::TestFrame* goaway = gateway.find(ptth::kFrameGoaway, 0);
  REQUIRE(goaway != nullptr);
  CHECK(goaway->number_at(0) == 0x7fffffff);
  gateway.get(1);
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
  const ptth::TestFrame* ping = gateway.find(ptth::kFramePing, 0);
  REQUIRE(ping != nullptr);
  gateway.send_frame(ptth::kFramePing, ptth::kFlagAck, 0, ping->payload);
  CHECK_FALSE(gateway.ended.has_value());
  gateway.call(0).answer_head(204, BodyKind::kNone);
  gateway.call(0).answer_end();
  CHECK(gateway.status(1) == "204");
  CHECK(gateway.stream.is_shut_down());
  gateway.loop.advance(Milliseconds(1'000));
  CHECK(gateway.ended.has_value());
}

TEST_CASE("the gateway's GOAWAY lets open exchanges finish and then ends the session") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  gateway.send_frame(ptth::kFrameGoaway, 0, 0, std::vector<uint8_t>(8));
  CHECK(gateway.leaving);
  CHECK_FALSE(gateway.ended.has_value());
  gateway.call(0).answer_head(204, BodyKind::kNone);
  gateway.call(0).answer_end();
  CHECK(gateway.status(1) == "204");
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.ended->retryable);
}

TEST_CASE("the end of the connection cancels what is in flight") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  gateway.stream.deliver_end();
  gateway.loop.turn();
  CHECK(gateway.call(0).cancelled);
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.ended->kind == ErrorKind::kClosed);
  CHECK(gateway.ended->retryable);
}

TEST_CASE("an exchange that the gateway leaves standing is given up") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.request(1, request_fields("POST", "/slow"), 0);
  gateway.get(3);
  gateway.call(1).answer_head(200, BodyKind::kUnknown);
  gateway.call(1).answer_body(std::string(100'000, 'x'));
  // Answers to PINGs keep the link alive; the exchanges make no progress.
  for (int second = 0; second < 80; second += 4) {
    gateway.send_frame(ptth::kFramePing, ptth::kFlagAck, 0, std::vector<uint8_t>(8));
    gateway.loop.advance(Milliseconds(4'000));
  }
  CHECK(gateway.status(1) == "408");
  CHECK(gateway.call(0).cancelled);
  CHECK(gateway.reset_code(3).has_value());
  CHECK(gateway.call(1).cancelled);
  CHECK_FALSE(gateway.ended.has_value());
}

TEST_CASE("the answers to more urgent requests are sent first, whatever was ready first") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.stream.set_unsent(10'000'000);
  gateway.get(1);
  get_urgently(gateway, 3, "u=0");
  get_urgently(gateway, 5, "u=7");
  get_urgently(gateway, 7, "u=7");
  for (const size_t call : {2U, 3U, 0U, 1U})
    answer(gateway, call, 15'000);
  SUBCASE("as the requests say") {
    gateway.stream.set_unsent(0);
    CHECK(order_of_data(gateway) == std::vector<int32_t>{3, 1, 5, 7});
  }
  SUBCASE("as the gateway changes it") {
    update_priority(gateway, 7, "u=1");
    gateway.stream.set_unsent(0);
    CHECK(order_of_data(gateway) == std::vector<int32_t>{3, 7, 1, 5});
  }
}

TEST_CASE("the kernel's buffer is bounded once there is something that may overtake") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  get_urgently(gateway, 3, "u=3, i");
  CHECK(gateway.stream.kernel_unsent_max() == 0);
  CHECK(gateway.relay_metrics.kernel_bound_links.value() == 0);
  SUBCASE("by a request") {
    get_urgently(gateway, 5, "u=5");
  }
  SUBCASE("by a frame") {
    update_priority(gateway, 1, "u=0");
  }
  CHECK(gateway.stream.kernel_unsent_max() == ptth::SessionLimits{}.kernel_unsent_bytes);
  get_urgently(gateway, 7, "u=0");
  CHECK(gateway.relay_metrics.kernel_bound_links.value() == 1);
}

TEST_CASE("answers of one urgency take turns: they are for different users") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.stream.set_unsent(10'000'000);
  gateway.get(1);
  gateway.get(3);
  answer(gateway, 0, 60'000);
  answer(gateway, 1, 1'000);
  gateway.stream.set_unsent(0);
  CHECK(order_of_data(gateway) == std::vector<int32_t>{1, 3, 1});
}

TEST_CASE("an answer that waits for more urgent ones is not given up, one without credit is") {
  ScriptedGateway gateway;
  gateway.attach();
  const auto credit = [&](int32_t stream_id, uint32_t bytes) {
    gateway.send_frame(ptth::kFrameWindowUpdate, 0, stream_id, ptth::big_endian(bytes));
  };
  credit(0, 10'000'000);
  get_urgently(gateway, 1, "u=0");
  credit(1, 10'000'000);
  get_urgently(gateway, 3, "u=7");
  get_urgently(gateway, 5, "u=7");
  answer(gateway, 2, 70'000);
  CHECK(gateway.body(5).size() == 65'535);  // All that its window allows.
  gateway.call(0).answer_head(200, BodyKind::kUnknown);
  gateway.stream.set_unsent(10'000'000);
  answer(gateway, 1, 1'000);
  // What the gateway takes is always of the most urgent one.
  for (int second = 0; second < 80; second += 4) {
    gateway.call(0).answer_body(std::string(100'000, 'x'));
    gateway.stream.let_through(30'000);
    gateway.send_frame(ptth::kFramePing, ptth::kFlagAck, 0, std::vector<uint8_t>(8));
    gateway.loop.advance(Milliseconds(4'000));
  }
  CHECK(gateway.reset_code(5).has_value());
  CHECK_FALSE(gateway.reset_code(3).has_value());
  gateway.stream.let_through(10'000'000);
  CHECK(gateway.body(3).size() == 1'000);
}
