#include "agent/link/upgrade_stream.h"

#include "tests/support/hello_transcript.h"
#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

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
using ptth::HelloCredentials;
using ptth::HelloOptions;
using ptth::HelloSpec;
using ptth::HttpUri;
using ptth::Loop;
using ptth::make_upgrade_stream;
using ptth::Milliseconds;
using ptth::Profile;
using ptth::Redirect;
using ptth::Result;
using ptth::Secret;
using ptth::SecretField;
using ptth::Side;
using ptth::test::as_bytes;
using ptth::test::hello_spec;
using ptth::test::make_scripted_stream;
using ptth::test::RecordingListener;
using ptth::test::Wire;

namespace {

const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kYes =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n";
const std::string kNothing = "HTTP/1.1 204 No Content\r\n\r\n";

HelloSpec with_channels(std::vector<std::string> channels) {
  HelloOptions options;
  options.channels = std::move(channels);
  return hello_spec(options);
}

struct Fixture : Profile::Listener {
  virtual ~Fixture() = default;

  void on_reversed(ChannelProtocol chosen) override {
    channel = chosen;
    if (listen_at_once) stream->set_listener(&session);
  }

  void on_not_reversed(const Error& error) override {
    CHECK_FALSE(over());
    refusal = error;
  }

  void on_hello_progress() override { ++progress; }

  void on_redirected(const Redirect* redirect) override {
    CHECK_FALSE(over());
    redirected = true;
    if (redirect != nullptr) moved_to = *redirect;
  }

  [[nodiscard]] bool over() const { return channel || refusal || redirected; }

  void begin() {
    channel.reset();
    refusal.reset();
    moved_to.reset();
    redirected = false;
    progress = 0;
    session = {};
    stream.reset();
    loop.turn();
    wire = {};
    stream = make_upgrade_stream(loop, make_scripted_stream(wire), spec, credentials, *this);
    loop.turn();
  }

  // How often the hello has been written.
  [[nodiscard]] size_t asked() const {
    size_t count = 0;
    for (size_t at = wire.written.find("GET /"); at != std::string::npos;
         at = wire.written.find("GET /", at + 1))
      ++count;
    return count;
  }

  void advance(int64_t milliseconds) { loop.advance(Milliseconds(milliseconds)); }

  Loop loop{ClockMode::kManual};
  HelloSpec spec = hello_spec();
  HelloCredentials credentials;
  Wire wire;
  RecordingListener session;
  std::unique_ptr<ByteStream> stream;
  bool listen_at_once = true;
  std::optional<ChannelProtocol> channel;
  std::optional<Error> refusal;
  bool redirected = false;
  std::optional<Redirect> moved_to;
  int progress = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "the hello is sent once, and nothing else before the gateway's magic") {
  begin();
  CHECK(wire.written.starts_with("GET /.well-known/ptth/"));
  const std::string hello = wire.written;
  loop.turn();
  wire.say(kYes);
  loop.turn();
  CHECK_FALSE(over());
  wire.say(kMagic);
  CHECK(channel == ChannelProtocol::kHttp2);
  CHECK(wire.written == hello);
  stream->write(as_bytes("SETTINGS"));
  CHECK(wire.written == hello + "SETTINGS");
}

TEST_CASE_FIXTURE(Fixture, "answer, magic and first frames may come in any split") {
  const std::string all = "HTTP/1.1 100 Continue\r\n\r\n" + kYes + kMagic + "first frames";
  for (size_t split = 1; split <= all.size(); ++split) {
    CAPTURE(split);
    begin();
    for (size_t at = 0; at < all.size(); at += split)
      wire.say(std::string_view(all).substr(at, split));
    loop.turn();
    REQUIRE(channel == ChannelProtocol::kHttp2);
    REQUIRE(session.received == "first frames");
    wire.say("more");
    REQUIRE(session.received == "first framesmore");
  }
}

TEST_CASE_FIXTURE(Fixture, "on an HTTP/1.1 channel the first request may come with the answer") {
  spec = with_channels({"h2", "http/1.1"});
  const std::string all =
      "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: ptth\r\nALPN: http%2F1.1\r\n\r\n"
      "GET / HTTP/1.1\r\n\r\n";
  for (size_t split = 1; split <= all.size(); ++split) {
    CAPTURE(split);
    begin();
    for (size_t at = 0; at < all.size(); at += split)
      wire.say(std::string_view(all).substr(at, split));
    loop.turn();
    REQUIRE(channel == ChannelProtocol::kHttp11);
    REQUIRE(session.received == "GET / HTTP/1.1\r\n\r\n");
  }
}

TEST_CASE_FIXTURE(Fixture, "bytes behind the answer wait for the session") {
  listen_at_once = false;
  begin();
  wire.say(kYes + kMagic + "frames");
  REQUIRE(channel.has_value());
  loop.turn();
  stream->set_listener(&session);
  CHECK(session.received.empty());
  loop.turn();
  CHECK(session.received == "frames");
}

TEST_CASE_FIXTURE(Fixture, "what follows a yes to h2 must be the magic") {
  begin();
  wire.say(kYes + "GET / HTTP/1.1\r\n\r\n");
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kProtocol);
  CHECK(refusal->detail.find("magic") != std::string::npos);
  begin();
  using namespace std::string_view_literals;
  wire.say(kYes);
  wire.say("\0\0\6\4\0\0\0\0\0"sv);
  REQUIRE(refusal.has_value());
  CHECK(refusal->detail.find("SETTINGS") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "a channel that was offered by configuration and is not spoken ends it") {
  spec = with_channels({"h3"});
  begin();
  wire.say("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: ptth\r\n\r\n");
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kConfiguration);
}

TEST_CASE_FIXTURE(Fixture, "a gateway that makes us wait is a gateway that is there") {
  begin();
  CHECK(progress == 0);
  wire.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 10");
  CHECK(progress == 1);
  wire.say("2 Processing\r\n");
  CHECK(progress == 1);
  wire.say("\r\n");
  CHECK(progress == 2);
  wire.say(kYes);
  CHECK(progress == 3);
}

TEST_CASE_FIXTURE(Fixture, "a gateway that gave up waiting is asked again, at most once a second") {
  begin();
  advance(300);
  wire.say(kNothing);
  CHECK(progress == 1);
  CHECK(asked() == 1);
  advance(699);
  CHECK(asked() == 1);
  advance(1);
  CHECK(asked() == 2);
  advance(30'000);
  wire.say("HTTP/1.1 100 Continue\r\n\r\n" + kNothing);
  loop.advance(Milliseconds(0));
  CHECK(asked() == 3);
  wire.say(kYes + kMagic);
  CHECK(channel == ChannelProtocol::kHttp2);
}

TEST_CASE_FIXTURE(Fixture, "a 204 that nobody asked for is no answer") {
  begin();
  wire.say(kNothing);
  wire.say(kNothing);
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kProtocol);
  advance(10'000);
  CHECK(asked() == 1);
}

TEST_CASE_FIXTURE(Fixture, "bytes behind a 204 have no place") {
  begin();
  wire.say(kNothing + "x");
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kProtocol);
}

TEST_CASE_FIXTURE(Fixture, "a 204 that closes, and a redirect, want another connection") {
  begin();
  wire.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  CHECK(redirected);
  CHECK_FALSE(moved_to.has_value());
  const auto moved = [&](const std::string& location) {
    begin();
    wire.say("HTTP/1.1 307 x\r\nLocation: " + location + "\r\nContent-Length: 3\r\n\r\n");
    REQUIRE(moved_to.has_value());
    CHECK(wire.listener == nullptr);
    return *moved_to;
  };
  CHECK(moved("https://gw.example:443/b").same_place);
  CHECK(moved("/b").uri.target == "/b");
  CHECK_FALSE(moved("https://gw.example:444/b").same_place);
}

TEST_CASE_FIXTURE(Fixture, "the reason of a no is waited for, but not for ever") {
  begin();
  wire.say("HTTP/1.1 403 x\r\nContent-Length: 100\r\n\r\nno such");
  CHECK_FALSE(over());
  wire.say(" tenant");
  advance(999);
  CHECK_FALSE(over());
  advance(1);
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kRefused);
  CHECK(refusal->detail.find("no such tenant") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a no stays a no, however the connection ends then") {
  const std::string no = "HTTP/1.1 403 x\r\nContent-Length: 100\r\n\r\nwhy";
  begin();
  wire.say(no);
  wire.end();
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kRefused);
  begin();
  wire.say(no);
  wire.fail({ErrorKind::kClosed, Side::kGateway, "connection reset", false});
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kRefused);
  CHECK(refusal->detail.find("why") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "an end or a failure within the hello is told as what it is") {
  begin();
  wire.end();
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kClosed);
  CHECK(refusal->detail.find("without an answer") != std::string::npos);
  begin();
  wire.say(kYes);
  wire.say("PRI");
  wire.end();
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kClosed);
  begin();
  wire.fail({ErrorKind::kRefused, Side::kGateway, "bad certificate", false});
  REQUIRE(refusal.has_value());
  CHECK(refusal->detail == "bad certificate");
}

TEST_CASE_FIXTURE(Fixture, "credentials are asked for anew with each hello") {
  int count = 0;
  credentials = [&]() -> Result<std::vector<SecretField>> {
    std::vector<SecretField> fields;
    fields.push_back({"authorization", Secret("Bearer token-" + std::to_string(++count))});
    return fields;
  };
  begin();
  CHECK(wire.written.find("authorization: Bearer token-1\r\n") != std::string::npos);
  wire.say(kNothing);
  advance(1000);
  CHECK(wire.written.find("authorization: Bearer token-2\r\n") != std::string::npos);
  wire.say("HTTP/1.1 401 x\r\nContent-Length: 12\r\n\r\ntoken-2: bad");
  REQUIRE(refusal.has_value());
  CHECK(refusal->detail.find("token-2") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "credentials that cannot be had are an error, and nothing is sent") {
  credentials = []() -> Result<std::vector<SecretField>> {
    return Error{ErrorKind::kConfiguration, Side::kLocal, "no such file", false};
  };
  begin();
  CHECK(wire.written.empty());
  REQUIRE(refusal.has_value());
  CHECK(refusal->detail == "no such file");
}

TEST_CASE_FIXTURE(Fixture, "a gateway that speaks first is refused") {
  stream = make_upgrade_stream(loop, make_scripted_stream(wire), spec, credentials, *this);
  wire.say(kYes);
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kProtocol);
  loop.turn();
  CHECK(wire.written.empty());
}

TEST_CASE_FIXTURE(Fixture, "a hello that is abandoned is silent, at whatever place") {
  stream = make_upgrade_stream(loop, make_scripted_stream(wire), spec, credentials, *this);
  stream->set_listener(nullptr);
  loop.turn();
  CHECK(wire.written.empty());
  for (const std::string& said : {std::string(), kNothing, std::string("HTTP/1.1 100 x\r\n\r\n"),
                                  std::string("HTTP/1.1 403 x\r\n\r\nab"), kYes}) {
    CAPTURE(said);
    begin();
    wire.say(said);
    const std::string written = wire.written;
    stream->set_listener(nullptr);
    CHECK(wire.listener == nullptr);
    advance(10'000);
    CHECK_FALSE(over());
    CHECK(wire.written == written);
  }
}
