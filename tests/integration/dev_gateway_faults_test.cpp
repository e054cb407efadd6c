#include "tests/gateway/http2_engine.h"
#include "tests/integration/dev_gateway_stage.h"

#include <string>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

constexpr size_t kWindow = size_t{256} * 1024;

}  // namespace

TEST_CASE("fault delay: the request is sent later, and only the one that was named") {
  Dispatcher::Options options;
  options.faults.delay_ms = Fault{200, 1};
  Stage stage(options);
  ScriptedWorker& worker = stage.add();
  User delayed(stage.loop);
  delayed.ask(stage.dispatcher, "/delayed");
  User other(stage.loop);
  other.ask(stage.dispatcher, "/other");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  CHECK(worker.request(0).fields.at(":path") == "/other");
  stage.loop.advance(Milliseconds(199));
  stage.settle();
  CHECK(worker.requests() == 1);
  stage.loop.advance(Milliseconds(1));
  CHECK(stage.until([&] { return worker.requests() == 2; }));
}

TEST_CASE("fault stalled window: the stream gets no credit back, the link does") {
  Dispatcher::Options options;
  options.faults.stall_window = Fault{0, 1};
  Stage stage(options);
  ScriptedWorker& worker = stage.add();
  User stalled(stage.loop);
  stalled.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  worker.answer(1, 200, std::string(2 * kWindow, 'x'));
  REQUIRE(stage.until([&] { return stalled.body.size() == kWindow; }));
  stage.settle();
  CHECK(stalled.body.size() == kWindow);
  CHECK(worker.stream_credit(1) == 0);
  CHECK(worker.link_credit() > static_cast<int32_t>(kWindow));
  CHECK_FALSE(stalled.ended());
}

TEST_CASE("fault reset: RST_STREAM after exactly so many bytes of the answer") {
  Dispatcher::Options options;
  options.faults.reset_after = Fault{1000, 0};
  Stage stage(options);
  ScriptedWorker& worker = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  worker.head(1, 200);
  worker.body(1, std::string(5000, 'x'));
  REQUIRE(stage.until([&] { return user.ended(); }));
  CHECK(user.failure.has_value());
  CHECK(user.body.size() == 1000);
  REQUIRE(stage.until([&] { return worker.request(0).closed.has_value(); }));
  CHECK(worker.request(0).closed == NGHTTP2_CANCEL);
}

TEST_CASE("fault reset after no byte: RST_STREAM follows the request") {
  Dispatcher::Options options;
  options.faults.reset_after = Fault{0, 0};
  Stage stage(options);
  ScriptedWorker& worker = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 1 && worker.request(0).closed; }));
  CHECK(worker.request(0).closed == NGHTTP2_CANCEL);
  CHECK(user.status == 502);
}

TEST_CASE("fault cut: the connection is closed at byte N of either direction") {
  Dispatcher::Options options;
  options.faults.cut_after_sent = Fault{700, 1};
  options.faults.cut_after = Fault{700, 2};
  Stage stage(options);
  ScriptedWorker& cut_when_sent = stage.add();
  User sending(stage.loop);
  sending.ask(stage.dispatcher, "/", BodyKind::kUnknown, "POST");
  REQUIRE(stage.until([&] { return cut_when_sent.requests() == 1; }));
  sending.call->write_body(as_bytes(std::string(5000, 'x')));
  REQUIRE(stage.until([&] { return sending.ended(); }));
  REQUIRE(stage.until([&] { return cut_when_sent.connection_ended(); }));
  CHECK(cut_when_sent.bytes_received() == 700);

  ScriptedWorker& cut_when_received = stage.add();
  User receiving(stage.loop);
  receiving.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return cut_when_received.requests() == 1; }));
  cut_when_received.head(1, 200);
  cut_when_received.body(1, std::string(5000, 'x'));
  REQUIRE(stage.until([&] { return receiving.ended(); }));
  CHECK(receiving.failure.has_value());
  CHECK(receiving.body.size() < 700);
  CHECK(stage.until([&] { return cut_when_received.connection_ended(); }));
}

TEST_CASE("fault stopped reading: the worker's answer does not arrive, the connection stays") {
  Dispatcher::Options options;
  options.faults.stop_reading = Fault{0, 1};
  Stage stage(options);
  ScriptedWorker& worker = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  worker.answer(1, 200, "unread");
  stage.settle();
  CHECK_FALSE(user.status.has_value());
  CHECK_FALSE(worker.connection_ended());
  stage.loop.advance(Milliseconds(60'000));
  CHECK(user.status == 504);
  CHECK(stage.until([&] { return worker.request(0).closed.has_value(); }));
}

}  // namespace ptth::dev
