#include "agent/link/connect_stream.h"

#include "tests/support/hello_transcript.h"
#include "tests/support/http2_frames.h"
#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::ByteStream;
using ptth::ChannelProtocol;
using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::HeaderFields;
using ptth::HelloCredentials;
using ptth::HelloOptions;
using ptth::HelloSpec;
using ptth::Loop;
using ptth::make_connect_stream;
using ptth::Milliseconds;
using ptth::Profile;
using ptth::Result;
using ptth::Secret;
using ptth::SecretField;
using ptth::TestFrame;
using ptth::TunnelOptions;
using ptth::test::as_bytes;
using ptth::test::as_text;
using ptth::test::hello_spec;
using ptth::test::make_scripted_stream;
using ptth::test::RecordingListener;
using ptth::test::Wire;

namespace {

const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kEnd = ptth::kFlagEndStream;
constexpr int32_t kTunnel = 1;

std::string text_of(const std::vector<uint8_t>& bytes) {
  return std::string(as_text(bytes));
}

struct Fixture : Profile::Listener {
  virtual ~Fixture() {
    stream.reset();
    loop.turn();
  }

  void on_reversed(ChannelProtocol chosen) override {
    channel = chosen;
    stream->set_listener(&session);
  }

  void on_not_reversed(const Error& error) override {
    CHECK_FALSE(refusal.has_value());
    refusal = error;
  }

  void on_hello_progress() override { ++progress; }

  void on_redirected(const ptth::Redirect* redirect) override {
    redirected_to = redirect == nullptr ? "" : to_string(redirect->uri);
  }

  // To where we wait for SETTINGS.
  void begin() {
    stream =
        make_connect_stream(loop, make_scripted_stream(wire), {spec, credentials, options}, *this);
    loop.turn();
    REQUIRE(wire.written.starts_with(kMagic));
    wire.written.erase(0, kMagic.size());
  }

  void say(uint8_t type, uint8_t flags, int32_t stream_id, const std::string& payload) {
    wire.say(text_of(ptth::make_frame(type, flags, stream_id, as_bytes(payload))));
    loop.turn();
  }

  void settings(bool takes_connect, uint32_t window = 65535) {
    std::string payload = {0, 8, 0, 0, 0, static_cast<char>(takes_connect), 0, 4};
    payload += text_of(ptth::big_endian(window));
    say(ptth::kFrameSettings, 0, 0, payload);
  }

  void answer(const HeaderFields& fields, uint8_t flags = 0) {
    say(ptth::kFrameHeaders, static_cast<uint8_t>(flags | ptth::kFlagEndHeaders), kTunnel,
        text_of(ptth::encode_fields(fields)));
  }

  void data(const std::string& bytes, uint8_t flags = 0) {
    say(ptth::kFrameData, flags, kTunnel, bytes);
  }

  // To where the gateway's magic has come.
  void reverse() {
    begin();
    settings(true);
    answer({{":status", "200"}, {"alpn", "h2"}});
    data(kMagic);
    REQUIRE(channel == ChannelProtocol::kHttp2);
    static_cast<void>(frames());
  }

  // Since the last call.
  std::vector<TestFrame> frames() { return reader.read(as_bytes(std::exchange(wire.written, ""))); }

  // The sum of the credit that the stream was given since the last call, and its data.
  struct Sent {
    uint64_t credit = 0;
    std::string data;
    bool ended = false;
    bool left = false;
  };

  Sent sent() {
    Sent out;
    for (const TestFrame& frame : frames()) {
      if (frame.type == ptth::kFrameWindowUpdate && frame.stream_id == kTunnel) {
        out.credit += frame.number_at(0);
      }
      if (frame.type == ptth::kFrameData) {
        out.data += text_of(frame.payload);
        out.ended |= frame.ends_stream();
      }
      out.left |= frame.type == ptth::kFrameGoaway;
    }
    return out;
  }

  Loop loop{ClockMode::kManual};
  HelloSpec spec = hello_spec({}, ptth::ptth_connect_hello());
  HelloCredentials credentials;
  TunnelOptions options;
  Wire wire;
  ptth::FrameReader reader;
  RecordingListener session;
  std::unique_ptr<ByteStream> stream;
  std::optional<ChannelProtocol> channel;
  std::optional<Error> refusal;
  std::optional<std::string> redirected_to;
  int progress = 0;
};

bool has(const std::optional<Error>& error, const char* part) {
  return error && error->detail.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "connect: the hello waits until the gateway takes extended CONNECT") {
  begin();
  for (const TestFrame& frame : frames())
    CHECK(frame.stream_id == 0);
  settings(true);
  const auto asked = frames();
  const auto hello = std::find_if(asked.begin(), asked.end(), [](const TestFrame& frame) {
    return frame.type == ptth::kFrameHeaders;
  });
  REQUIRE(hello != asked.end());
  CHECK(hello->fields == HeaderFields{{":method", "CONNECT"},
                                      {":protocol", "ptth"},
                                      {":scheme", "https"},
                                      {":authority", "gw.example"},
                                      {":path", "/.well-known/ptth/https%3A%2F%2Fapp.example/"},
                                      {"alpn", "h2"}});
  CHECK_FALSE(hello->ends_stream());
  answer({{":status", "100"}});
  CHECK(progress == 1);
  answer({{":status", "200"}, {"alpn", "h2"}});
  data(kMagic.substr(0, 10));
  CHECK_FALSE(channel.has_value());
  data(kMagic.substr(10) + "frames");
  CHECK(channel == ChannelProtocol::kHttp2);
  loop.turn();
  CHECK(session.received == "frames");
  // Nothing of ours inside the tunnel until the session speaks.
  CHECK(sent().data.empty());
  stream->write(as_bytes("SETTINGS"));
  loop.turn();
  CHECK(sent().data == "SETTINGS");
}

TEST_CASE_FIXTURE(Fixture, "connect: a gateway without it is told from one that refuses") {
  begin();
  settings(false);
  CHECK(has(refusal, "RFC 8441"));
  CHECK(refusal->kind == ErrorKind::kConfiguration);
}

TEST_CASE_FIXTURE(Fixture, "connect: a no comes with its words, and without our secrets") {
  credentials = []() -> Result<std::vector<SecretField>> {
    std::vector<SecretField> fields;
    fields.push_back({"authorization", Secret("Bearer very-secret-token")});
    return fields;
  };
  begin();
  settings(true);
  answer({{":status", "403"}});
  CHECK_FALSE(refusal.has_value());
  data("not ", 0);
  data("you", kEnd);
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kRefused);
  CHECK(has(refusal, "it says: not you"));
}

TEST_CASE_FIXTURE(Fixture, "connect: a no that repeats our secret is masked, and does not linger") {
  credentials = []() -> Result<std::vector<SecretField>> {
    std::vector<SecretField> fields;
    fields.push_back({"authorization", Secret("Bearer very-secret-token")});
    return fields;
  };
  begin();
  settings(true);
  answer({{":status", "401"}});
  data("wrong: very-secret-token");
  loop.advance(Milliseconds(1'000));
  REQUIRE(refusal.has_value());
  CHECK_FALSE(has(refusal, "very-secret"));
}

TEST_CASE_FIXTURE(Fixture, "connect: a credential that no field can carry is not sent") {
  credentials = []() -> Result<std::vector<SecretField>> {
    std::vector<SecretField> fields;
    fields.push_back({"authorization", Secret("Bearer a\r\nb")});
    return fields;
  };
  begin();
  settings(true);
  CHECK(has(refusal, "authorization"));
  CHECK(refusal->side == ptth::Side::kLocal);
}

TEST_CASE_FIXTURE(Fixture, "connect: redirects and 204 lead to another dial") {
  begin();
  settings(true);
  answer({{":status", "307"}, {"location", "https://gw.example/there"}});
  CHECK(redirected_to == "https://gw.example/there");
}

TEST_CASE_FIXTURE(Fixture, "connect: answers without end, and answers too large, are refused") {
  SUBCASE("interim") {
    begin();
    settings(true);
    for (int count = 0; count < 40 && !refusal; ++count)
      answer({{":status", "103"}});
    CHECK(has(refusal, "without end"));
  }
  SUBCASE("large") {
    begin();
    settings(true);
    HeaderFields fields{{":status", "200"}};
    for (int count = 0; count < 5; ++count)
      fields.emplace_back("x-" + std::to_string(count), std::string(3'500, 'x'));
    wire.say(text_of(ptth::make_frame(
        ptth::kFrameHeaders, 0, kTunnel,
        as_bytes(text_of(ptth::encode_fields({fields.begin(), fields.begin() + 3}))))));
    say(ptth::kFrameContinuation, ptth::kFlagEndHeaders, kTunnel,
        text_of(ptth::encode_fields({fields.begin() + 3, fields.end()})));
    CHECK(has(refusal, "too large"));
  }
}

TEST_CASE_FIXTURE(Fixture, "connect: credit returns when the session took the bytes, not before") {
  options.window_bytes = 100'000;
  reverse();
  const std::string piece(10'000, 'x');
  for (int count = 0; count < 6; ++count)
    data(piece);
  CHECK(session.received.size() == 60'000);
  CHECK(sent().credit >= 30'000);
  session.received.clear();
  stream->pause_reading();
  for (int count = 0; count < 4; ++count)
    data(piece);
  CHECK(session.received.empty());
  CHECK(sent().credit == 0);
  stream->resume_reading();
  CHECK(session.received.empty());
  loop.turn();
  CHECK(session.received.size() == 40'000);
}

TEST_CASE_FIXTURE(Fixture, "connect: a gateway that sends more than its credit ends the tunnel") {
  options.window_bytes = 65'535;
  reverse();
  stream->pause_reading();
  for (int count = 0; count < 8 && !session.failure; ++count)
    data(std::string(10'000, 'x'));
  CHECK(session.failure.has_value());
}

TEST_CASE_FIXTURE(Fixture, "connect: what the gateway gives no credit for waits, and counts") {
  begin();
  settings(true, 10);
  answer({{":status", "200"}, {"alpn", "h2"}});
  data(kMagic);
  static_cast<void>(frames());
  stream->write(as_bytes("0123456789abcdef"));
  loop.turn();
  CHECK(sent().data == "0123456789");
  CHECK(stream->unsent_bytes() == 6);
  say(ptth::kFrameWindowUpdate, 0, kTunnel, text_of(ptth::big_endian(100)));
  CHECK(sent().data == "abcdef");
  CHECK(stream->unsent_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "connect: both ends of the tunnel end by themselves") {
  reverse();
  data("last", kEnd);
  CHECK(session.received == "last");
  CHECK(session.ends == 1);
  CHECK_FALSE(sent().left);
  stream->write(as_bytes("bye"));
  stream->shutdown();
  loop.turn();
  const Sent out = sent();
  CHECK(out.data == "bye");
  CHECK(out.ended);
  CHECK(out.left);
  CHECK(wire.shut_down);
  CHECK_FALSE(session.failure.has_value());
}

TEST_CASE_FIXTURE(Fixture, "connect: the end waits behind bytes that are not taken yet") {
  reverse();
  stream->pause_reading();
  data("last", kEnd);
  CHECK(session.ends == 0);
  stream->resume_reading();
  loop.turn();
  CHECK(session.received == "last");
  CHECK(session.ends == 1);
}

TEST_CASE_FIXTURE(Fixture, "connect: a reset says whether the gateway had said yes") {
  SUBCASE("before") {
    begin();
    settings(true);
    say(ptth::kFrameReset, 0, kTunnel, text_of(ptth::big_endian(7)));
    CHECK(has(refusal, "refused the tunnel: REFUSED_STREAM"));
  }
  SUBCASE("after") {
    reverse();
    say(ptth::kFrameReset, 0, kTunnel, text_of(ptth::big_endian(8)));
    REQUIRE(session.failure.has_value());
    CHECK(has(session.failure, "ended the tunnel: CANCEL"));
  }
}

TEST_CASE_FIXTURE(Fixture, "connect: frames that carry nothing have a limit") {
  SUBCASE("PING") {
    reverse();
    for (int count = 0; count < 5'000 && !session.failure; ++count)
      say(ptth::kFramePing, 0, 0, "12345678");
    CHECK(has(session.failure, "floods"));
  }
  SUBCASE("unknown") {
    reverse();
    for (int count = 0; count < 5'000 && !session.failure; ++count)
      say(0x4d, 0, 0, "");
    CHECK(has(session.failure, "floods"));
  }
  SUBCASE("empty DATA") {
    reverse();
    for (int count = 0; count < 5'000 && !session.failure; ++count)
      data("");
    CHECK(has(session.failure, "floods"));
  }
}

TEST_CASE_FIXTURE(Fixture, "connect: what is no HTTP/2, outside or inside, is refused") {
  SUBCASE("outside") {
    begin();
    wire.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    loop.turn();
    REQUIRE(refusal.has_value());
    CHECK(refusal->kind == ErrorKind::kProtocol);
  }
  SUBCASE("inside") {
    begin();
    settings(true);
    answer({{":status", "200"}, {"alpn", "h2"}});
    data("HTTP/1.1 200 OK");
    CHECK(has(refusal, "HTTP/1 answer"));
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "connect: the end of the connection is that of the hello, or the session") {
  SUBCASE("hello") {
    begin();
    settings(true);
    wire.end();
    loop.turn();
    REQUIRE(refusal.has_value());
    CHECK(refusal->kind == ErrorKind::kClosed);
  }
  SUBCASE("session") {
    reverse();
    wire.end();
    loop.turn();
    CHECK(has(session.failure, "closed the connection that carries the channel"));
  }
}
