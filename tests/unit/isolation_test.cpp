// Gateways side by side: one that floods, stalls or takes too much uses up its own share, and the
// others do not notice.

#include "agent/gateway_quota.h"
#include "agent/relay/admission.h"
#include "agent/relay/capacity_shares.h"
#include "agent/relay/http1_session.h"
#include "agent/relay/http2_session.h"
#include "agent/relay/turn_share.h"
#include "common/loop_rounds.h"
#include "tests/support/scripted_gateway.h"
#include "tests/support/scripted_http1_gateway.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::Budget;
using ptth::CapacityShares;
using ptth::ClockMode;
using ptth::GatewayOptions;
using ptth::GatewayQuota;
using ptth::Loop;
using ptth::Metrics;
using ptth::request_fields;
using ptth::ScriptedGateway;
using ptth::ScriptedOrigin;
using ptth::SessionOptions;
using ptth::TurnShare;
using ptth::TurnShareOptions;

namespace {

// Two gateways of one agent, each with its quota, on one loop and one origin.
struct TwoGateways {
  explicit TwoGateways(const GatewayOptions& gateway = {}, size_t process_bytes = 1U << 20U)
      : process{process_bytes, 0},
        quota_a({loop, metrics, process, shares}, named("a", gateway)),
        quota_b({loop, metrics, process, shares}, named("b", gateway)) {
    for (GatewayQuota* quota : {&quota_a, &quota_b}) {
      quota->divide_by(2);
      quota->capacity().is_attached = true;
    }
    a.attach();
    b.attach();
  }

  static GatewayOptions named(const std::string& name, GatewayOptions options) {
    options.name = name;
    return options;
  }

  static ptth::AdmissionOptions without_queue() {
    ptth::AdmissionOptions options;
    options.capacity.limit = 100;
    options.queue.length_max = 0;
    return options;
  }

  static SessionOptions session(const std::string& gateway) {
    SessionOptions options;
    options.gateway = gateway;
    return options;
  }

  Loop loop{ClockMode::kManual};
  Metrics metrics;
  CapacityShares shares{metrics, 10};
  Budget process;
  GatewayQuota quota_a;
  GatewayQuota quota_b;
  ptth::OriginWork work;
  ScriptedOrigin origin;
  std::unique_ptr<ptth::Admission> admission =
      ptth::make_admission({loop, metrics, origin, work, shares}, without_queue());
  ScriptedGateway a{session("a"), loop, *admission, &quota_a.budget(), &quota_a.turn()};
  ScriptedGateway b{session("b"), loop, *admission, &quota_b.budget(), &quota_b.turn()};
};

std::vector<uint8_t> frames_of_requests(int32_t first_id, int count) {
  std::vector<uint8_t> bytes;
  for (int number = 0; number < count; ++number) {
    const auto frame =
        ptth::make_frame(ptth::kFrameHeaders, ptth::kFlagEndStream | ptth::kFlagEndHeaders,
                         first_id + 2 * number, ptth::encode_fields(request_fields("GET", "/")));
    bytes.insert(bytes.end(), frame.begin(), frame.end());
  }
  return bytes;
}

size_t calls_of(const ScriptedOrigin& origin, const std::string& gateway) {
  size_t count = 0;
  for (const auto& call : origin.calls)
    count += call->head.gateway == gateway ? 1 : 0;
  return count;
}

// What an origin has in hand.
class HeldWork {
 public:
  explicit HeldWork(ptth::WorkCount& count) : count_(count) {}

  void hold(size_t count) {
    slots_.clear();
    for (size_t number = 0; number < count; ++number)
      slots_.emplace_back(count_);
  }

 private:
  ptth::WorkCount& count_;
  std::vector<ptth::WorkSlot> slots_;
};

class FailingOrigin final : public ptth::Origin {
 public:
  explicit FailingOrigin(Loop& loop) : loop_(loop) {}

  std::unique_ptr<ptth::OriginCall> start(const ptth::RequestHead&,
                                          ptth::ResponseListener& listener,
                                          ptth::WorkSlot) override {
    return ptth::make_failed_call(
        loop_, listener, {ptth::ErrorKind::kMisdirected, ptth::Side::kLocal, "not served here"});
  }

 private:
  Loop& loop_;
};

size_t answers_in(const std::string& text) {
  size_t count = 0;
  for (size_t at = text.find("HTTP/1.1 421"); at != text.npos;
       at = text.find("HTTP/1.1 421", at + 1))
    ++count;
  return count;
}

}  // namespace

TEST_CASE("a round comes after each look at the sockets, and nothing comes after its end") {
  Loop loop{ClockMode::kManual};
  int rounds = 0;
  auto hook = std::make_unique<ptth::LoopRounds>(loop, [&] { ++rounds; });
  loop.turn();
  CHECK(rounds == 1);
  hook->come_soon();
  loop.turn();
  CHECK(rounds == 2);
  hook.reset();
  loop.turn();
  CHECK(rounds == 2);
}

TEST_CASE("a flood is cut after its share of the turn, and another gateway is heard in between") {
  GatewayOptions options;
  options.turn.frames = 16;
  TwoGateways stage(options);
  // All at once, in one read; the scripted gateway lets the loop turn once.
  stage.a.send(frames_of_requests(1, 60));
  const size_t first = calls_of(stage.origin, "a");
  CHECK(first >= 16);
  CHECK(first <= 32);
  stage.b.get(1);
  CHECK(calls_of(stage.origin, "b") == 1);
  CHECK(calls_of(stage.origin, "a") < 60);
  for (int turn = 0; turn < 5; ++turn)
    stage.loop.turn();
  CHECK(calls_of(stage.origin, "a") == 60);
  CHECK(stage.metrics.counter("ptth_turn_share_waits", "", {{"gateway", "a"}}).value() > 0);
  CHECK(stage.metrics.counter("ptth_turn_share_waits", "", {{"gateway", "b"}}).value() == 0);
}

TEST_CASE("nothing is read from a gateway that has more than its share to be read") {
  GatewayOptions options;
  options.turn.frames = 4;
  TwoGateways stage(options);
  stage.a.send(frames_of_requests(1, 40));
  CHECK_FALSE(stage.a.stream.is_reading());
  CHECK(stage.quota_a.budget().used_bytes > 0);
  for (int turn = 0; turn < 12; ++turn)
    stage.loop.turn();
  CHECK(stage.a.stream.is_reading());
  CHECK(stage.quota_a.budget().used_bytes == 0);
  CHECK(calls_of(stage.origin, "a") == 40);
}

TEST_CASE("links of one gateway take turns: none waits for ever behind one that floods") {
  Loop loop{ClockMode::kManual};
  Metrics metrics;
  TurnShare share(loop, TurnShareOptions{4, 1U << 20U}, metrics.counter("waits", ""));
  ScriptedOrigin origin;
  Budget budget;
  ScriptedGateway loud(TwoGateways::session("loud"), loop, origin, &budget, &share);
  ScriptedGateway quiet(TwoGateways::session("quiet"), loop, origin, &budget, &share);
  loud.attach();
  quiet.attach();
  for (int turn = 0; turn < 8; ++turn)
    loop.turn();
  loud.send(frames_of_requests(1, 90));
  REQUIRE(calls_of(origin, "loud") < 60);
  quiet.get(1);
  for (int turn = 0; turn < 4; ++turn)
    loop.turn();
  CHECK(calls_of(origin, "quiet") == 1);
  CHECK(calls_of(origin, "loud") < 60);
}

TEST_CASE("a large answer leaves in pieces, a share of the turn each") {
  GatewayOptions options;
  options.turn.output_bytes = 16384;
  TwoGateways stage(options);
  // Credit for all of it.
  stage.a.send_frame(ptth::kFrameSettings, 0, 0, {0, 4, 0, 16, 0, 0});
  stage.a.send_frame(ptth::kFrameWindowUpdate, 0, 0, ptth::big_endian(1U << 20U));
  stage.a.get(1);
  ScriptedOrigin::Seen& call = *stage.origin.calls.at(0);
  call.answer_head(200, BodyKind::kUnknown);
  call.answer_body(std::string(200'000, 'x'));
  call.answer_end();
  stage.loop.turn();
  CHECK(stage.a.body(1).size() > 0);
  CHECK(stage.a.body(1).size() < 100'000);
  stage.b.get(1);
  CHECK(calls_of(stage.origin, "b") == 1);
  for (int turn = 0; turn < 20; ++turn)
    stage.loop.turn();
  CHECK(stage.a.body(1).size() == 200'000);
}

TEST_CASE("the last words on a link do not wait for its turn") {
  GatewayOptions options;
  options.turn.frames = 1;
  options.turn.output_bytes = 1;
  TwoGateways stage(options);
  for (int turn = 0; turn < 20; ++turn)
    stage.loop.turn();
  stage.a.get(1);
  for (int turn = 0; turn < 20; ++turn)
    stage.loop.turn();
  REQUIRE(calls_of(stage.origin, "a") == 1);
  stage.a.send(frames_of_requests(3, 20));
  stage.a.session().abort();
  stage.loop.turn();
  CHECK(stage.a.ended.has_value());
  CHECK(stage.a.goaway_code().has_value());
  CHECK(stage.quota_a.budget().used_bytes == 0);
}

TEST_CASE("a gateway over its budget is paused, and the others are not") {
  GatewayOptions options;
  options.buffer_bytes = 100'000;
  TwoGateways stage(options);
  // It takes nothing, so what the origin answers is buffered.
  stage.a.send_frame(ptth::kFrameSettings, 0, 0, {0, 4, 0, 0, 0, 0});
  for (int32_t stream_id : {1, 3, 5})
    stage.a.get(stream_id);
  stage.b.get(1);
  for (const auto& call : stage.origin.calls) {
    call->answer_head(200, BodyKind::kUnknown);
    call->answer_body(std::string(40'000, 'x'));
    stage.loop.turn();
  }
  REQUIRE(stage.origin.calls.size() == 4);
  CHECK_FALSE(stage.origin.calls[0]->paused);
  CHECK(stage.origin.calls[2]->paused);
  CHECK_FALSE(stage.origin.calls[3]->paused);
  CHECK(stage.quota_a.budget().exceeded());
  CHECK_FALSE(stage.quota_b.budget().exceeded());
  CHECK_FALSE(stage.process.exceeded());
  CHECK(stage.b.body(1).size() == 40'000);
}

TEST_CASE("without a budget of its own a gateway has an equal share of the process's") {
  TwoGateways stage({}, 1'000'000);
  CHECK(stage.quota_a.budget().limit_bytes == 500'000);
  stage.quota_a.budget().use(500'001);
  CHECK(stage.quota_a.budget().exceeded());
  CHECK_FALSE(stage.quota_b.budget().exceeded());
  CHECK(stage.process.used_bytes == 500'001);
  stage.quota_b.budget().use(499'999);
  stage.quota_a.budget().give_back(500'001);
  CHECK(stage.process.used_bytes == 499'999);
  stage.quota_b.budget().give_back(499'999);
}

TEST_CASE("a gateway that asks for all of the capacity leaves the others their reserve") {
  TwoGateways stage;
  stage.a.send(frames_of_requests(1, 100));
  stage.loop.turn();
  CHECK(calls_of(stage.origin, "a") == 90);
  CHECK(stage.a.reset_code(199) == 7U);  // REFUSED_STREAM: nothing has reached the origin.
  stage.b.send(frames_of_requests(1, 11));
  CHECK(calls_of(stage.origin, "b") == 10);
  CHECK(stage.metrics.counter("ptth_capacity_share_refusals", "", {{"gateway", "a"}}).value() ==
        10);
  // Work of a request that was reset counts until the origin is done with it.
  stage.a.send_frame(ptth::kFrameReset, 0, 1, ptth::big_endian(8));
  stage.a.get(301);
  CHECK(calls_of(stage.origin, "a") == 90);
  stage.origin.calls[0]->slot.release();
  stage.a.get(303);
  CHECK(calls_of(stage.origin, "a") == 91);
}

TEST_CASE("who is away needs no reserve, and a gateway's own maximum holds in any case") {
  Metrics metrics;
  CapacityShares shares(metrics, 10);
  CapacityShares::Share& a = shares.of("a");
  CapacityShares::Share& b = shares.of("b");
  HeldWork of_a(a.work);
  HeldWork of_b(b.work);
  of_a.hold(95);
  CHECK(shares.has_room(a, 100));
  b.is_attached = true;
  CHECK_FALSE(shares.has_room(a, 100));
  CHECK(shares.has_room(b, 100));
  of_a.hold(20);
  a.exchanges_max = 20;
  CHECK_FALSE(shares.has_room(a, 100));
  CHECK(shares.most_for(a, 100) == 20);
  CHECK(shares.most_for(b, 100) == 90);
  // What b uses of its reserve is not kept twice.
  a.exchanges_max = 0;
  of_a.hold(89);
  of_b.hold(10);
  CHECK(shares.has_room(a, 100));
  of_a.hold(90);
  CHECK_FALSE(shares.has_room(a, 100));
}

TEST_CASE("reserves take half of a small capacity at most") {
  Metrics metrics;
  CapacityShares shares(metrics, 10);
  CapacityShares::Share& a = shares.of("a");
  CHECK(shares.most_for(a, 8) == 8);
  shares.of("b").is_attached = true;
  CHECK(shares.most_for(a, 8) == 6);
  HeldWork work(a.work);
  work.hold(6);
  CHECK_FALSE(shares.has_room(a, 8));
  CHECK(shares.most_for(a, 1) == 1);
}

TEST_CASE("HTTP/1.1: pipelined requests are answered a share of the turn at a time") {
  Loop loop{ClockMode::kManual};
  Metrics metrics;
  TurnShare share(loop, TurnShareOptions{4, 1U << 20U}, metrics.counter("waits", ""));
  Budget budget;
  FailingOrigin origin(loop);
  ptth::ScriptedHttp1Gateway gateway({}, loop, origin, &budget, &share);
  std::string requests;
  for (int number = 0; number < 20; ++number)
    requests += "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n";
  gateway.send(requests);
  const size_t first = answers_in(gateway.take());
  CHECK(first >= 4);
  CHECK(first <= 12);
  for (int turn = 0; turn < 6; ++turn)
    loop.turn();
  CHECK(first + answers_in(gateway.take()) == 20);
  CHECK(budget.used_bytes == 0);
}
