#include "common/record_gate.h"

#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::Bytes;
using ptth::ByteStream;
using ptth::ClockMode;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::RecordGate;
using ptth::Side;
using ptth::test::as_bytes;
using ptth::test::as_text;
using ptth::test::make_scripted_stream;
using ptth::test::RecordingListener;
using ptth::test::Wire;

namespace {

std::string record(const std::string& fragment, char type = 0x17) {
  const auto size = static_cast<unsigned>(fragment.size());
  return std::string{type, 3, 3, static_cast<char>(size >> 8U), static_cast<char>(size & 255U)} +
         fragment;
}

// TLS, seen from the gate: each piece that it was given; it may turn to what is raw behind one.
struct Pieces final : ByteStream::Listener {
  void on_bytes(Bytes bytes) override {
    pieces.emplace_back(as_text(bytes));
    if (pieces.size() == divert_behind) gate->divert(*raw);
    if (pieces.size() == pause_behind) gate->pause_reading();
  }

  void on_end() override { ended = true; }

  void on_failed(const ptth::Error&) override { failed = true; }

  void on_sent() override { ++sent; }

  std::vector<std::string> pieces;
  size_t divert_behind = 0;
  size_t pause_behind = 0;
  bool ended = false;
  bool failed = false;
  int sent = 0;
  RecordGate* gate = nullptr;
  ByteStream::Listener* raw = nullptr;
};

struct Fixture {
  Fixture() : gate(loop, make_scripted_stream(wire)) {
    tls.gate = &gate;
    tls.raw = &raw;
    gate.set_listener(&tls);
  }

  Loop loop{ClockMode::kManual};
  Wire wire;
  Pieces tls;
  RecordingListener raw;
  RecordGate gate;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("TLS is given whole records, one by one, however they come") {
  const std::string large = record(std::string(16384 + 256, 'x'));
  const std::string all = record("one") + record("") + large + record("three", 0x16);
  for (const size_t step : {size_t{1}, size_t{7}, size_t{4000}, all.size()}) {
    CAPTURE(step);
    Fixture stage;
    for (size_t at = 0; at < all.size(); at += step)
      stage.wire.say(std::string_view(all).substr(at, step));
    CHECK(stage.tls.pieces == Texts{record("one"), record(""), large, record("three", 0x16)});
  }
}

TEST_CASE_FIXTURE(Fixture, "what is no record goes to TLS as it is, to be refused there") {
  wire.say(record("one") + "HTTP/1.1 400 Bad Request");
  CHECK(tls.pieces == Texts{record("one"), "HTTP/1.1 400 Bad Request"});
  wire.say(std::string("\x17\x03\x03\xff\xff", 5) + "too long");
  CHECK(tls.pieces.back() == std::string("\x17\x03\x03\xff\xff", 5) + "too long");
}

TEST_CASE("what follows the record behind which TLS is left is raw, in any split") {
  const std::string all = record("answer") + "RPING" + record("raw, though it looks otherwise");
  for (size_t step = 1; step <= all.size(); ++step) {
    CAPTURE(step);
    Fixture stage;
    stage.tls.divert_behind = 1;
    for (size_t at = 0; at < all.size(); at += step)
      stage.wire.say(std::string_view(all).substr(at, step));
    stage.loop.turn();
    CHECK(stage.tls.pieces == Texts{record("answer")});
    CHECK(stage.raw.received == all.substr(record("answer").size()));
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "part of a record is raw too when TLS is left meanwhile, and not at once") {
  wire.say("\x17\x03");
  gate.divert(raw);
  CHECK(raw.received.empty());
  loop.turn();
  CHECK(raw.received == "\x17\x03");
  wire.say("more");
  CHECK(raw.received == "\x17\x03more");
  wire.end();
  loop.turn();
  CHECK(raw.ends == 1);
  CHECK_FALSE(tls.ended);
}

TEST_CASE_FIXTURE(Fixture, "TLS goes on where the raw bytes turn out to be its own") {
  tls.divert_behind = 1;
  wire.say(record("answer"));
  loop.turn();
  wire.say("");
  gate.give_back(as_bytes(record("two") + record("three").substr(0, 6)));
  CHECK(tls.pieces.size() == 1);
  wire.say(record("three").substr(6));
  loop.turn();
  CHECK(tls.pieces == Texts{record("answer"), record("two"), record("three")});
  CHECK(raw.received.empty());
}

TEST_CASE_FIXTURE(Fixture, "the stream beneath is given back, and TLS is cut off") {
  tls.divert_behind = 1;
  wire.say(record("answer"));
  gate.write(as_bytes("hello"));
  const std::unique_ptr<ByteStream> beneath = gate.release();
  REQUIRE(beneath != nullptr);
  CHECK(wire.listener == nullptr);
  gate.write(as_bytes("close_notify"));
  gate.shutdown();
  gate.pause_reading();
  gate.resume_reading();
  gate.set_listener(nullptr);
  CHECK(gate.unsent_bytes() == 0);
  loop.turn();
  CHECK(wire.written == "hello");
  CHECK_FALSE(wire.shut_down);
  CHECK_FALSE(wire.destroyed);
  beneath->write(as_bytes("RPING"));
  CHECK(wire.written == "helloRPING");
}

TEST_CASE_FIXTURE(Fixture, "records wait while TLS is paused, and the end waits behind them") {
  tls.pause_behind = 1;
  wire.say(record("one") + record("two"));
  wire.end();
  loop.turn();
  CHECK(tls.pieces == Texts{record("one")});
  CHECK(wire.paused);
  CHECK_FALSE(tls.ended);
  gate.resume_reading();
  CHECK(tls.pieces.size() == 1);
  loop.turn();
  CHECK(tls.pieces == Texts{record("one"), record("two")});
  CHECK(tls.ended);
  CHECK_FALSE(wire.paused);
}

TEST_CASE_FIXTURE(Fixture, "all else passes through") {
  gate.write(as_bytes("hello"));
  CHECK(wire.written == "hello");
  wire.listener->on_sent();
  CHECK(tls.sent == 1);
  wire.fail({ErrorKind::kClosed, Side::kGateway, "reset", true});
  CHECK(tls.failed);
  gate.shutdown();
  CHECK(wire.shut_down);
}
