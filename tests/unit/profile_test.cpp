#include "agent/link/profile.h"

#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <memory>
#include <optional>
#include <string>

#include <doctest/doctest.h>

using ptth::Bytes;
using ptth::ByteStream;
using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::make_direct_profile;
using ptth::make_h2_reverse_profile;
using ptth::make_haproxy_profile;
using ptth::make_potato_profile;
using ptth::Profile;
using ptth::Side;
using ptth::test::as_bytes;
using ptth::test::as_text;
using ptth::test::make_scripted_stream;
using ptth::test::Wire;

namespace {

const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct Session final : ByteStream::Listener {
  void on_bytes(Bytes bytes) override {
    received += as_text(bytes);
    ++deliveries;
    if (pause_after_bytes) stream->pause_reading();
  }

  void on_end() override { ended = true; }

  void on_failed(const Error& failure) override { error = failure; }

  void on_sent() override { ++sent; }

  ByteStream* stream = nullptr;
  bool pause_after_bytes = false;
  std::string received;
  int deliveries = 0;
  bool ended = false;
  int sent = 0;
  std::optional<Error> error;
};

struct Fixture : Profile::Listener {
  virtual ~Fixture() = default;

  void on_reversed(ptth::ChannelProtocol /*channel*/) override {
    ++reversals;
    if (listen_at_once) listen();
  }

  void on_not_reversed(const Error& failure) override { refusal = failure; }

  void listen() {
    session.stream = stream.get();
    stream->set_listener(&session);
  }

  void begin(const std::unique_ptr<Profile>& profile) {
    stream.reset();
    stream = profile->reverse(loop, make_scripted_stream(wire), *this);
  }

  void say(std::string_view text) const {
    REQUIRE(wire.listener != nullptr);
    wire.say(text);
  }

  Loop loop{ClockMode::kManual};
  Wire wire;
  Session session;
  std::unique_ptr<ByteStream> stream;
  int reversals = 0;
  bool listen_at_once = true;
  std::optional<Error> refusal;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "haproxy: the magic is written at once and comes before all else") {
  begin(make_haproxy_profile());
  CHECK(wire.written == kMagic);
  CHECK(reversals == 0);
  loop.turn();
  CHECK(reversals == 1);
  stream->write(as_bytes("SETTINGS"));
  CHECK(wire.written == kMagic + "SETTINGS");
  say("answer");
  CHECK(session.received == "answer");
}

TEST_CASE_FIXTURE(Fixture, "haproxy: bytes that come before the session listens are its first") {
  listen_at_once = false;
  begin(make_haproxy_profile());
  say("early");
  loop.turn();
  CHECK(reversals == 1);
  loop.turn();
  CHECK(session.received.empty());
  listen();
  CHECK(session.received.empty());
  loop.turn();
  CHECK(session.received == "early");
}

TEST_CASE_FIXTURE(Fixture, "haproxy: a stream that fails in the first turn is not reversed") {
  begin(make_haproxy_profile());
  wire.listener->on_failed({ErrorKind::kRefused, Side::kGateway, "bad certificate", false});
  loop.turn();
  CHECK(reversals == 0);
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kRefused);
}

TEST_CASE("the two dialects differ in who sends the magic, and in when the capacity is read") {
  CHECK(make_haproxy_profile()->name() == "haproxy");
  CHECK(make_haproxy_profile()->capacity_in_second_settings());
  CHECK(make_haproxy_profile()->default_alpn() == std::vector<std::string>{"h2"});
  CHECK(make_direct_profile()->name() == "direct");
  CHECK_FALSE(make_direct_profile()->capacity_in_second_settings());
  CHECK(make_direct_profile()->default_alpn().front() == "\xd5\x87\xc9\xa5");
}

TEST_CASE(
    "potato: the ids of all revisions are offered, the newest first, or those that are chosen") {
  using Ids = std::vector<std::string>;
  CHECK(make_potato_profile({}).value()->default_alpn() == Ids{"\xd5\x87\xc9\xa5", "ph2", "rh2"});
  const auto profile = make_potato_profile({"00", "02"}).value();
  CHECK(profile->name() == "potato");
  CHECK(profile->default_alpn() == Ids{"rh2", "\xd5\x87\xc9\xa5"});
  CHECK(profile->http1_alpn() == Ids{"rh1", "\xc6\x96\xc9\xa5"});
  CHECK(make_direct_profile()->http1_alpn().empty());
  CHECK(profile->requires_alpn());
  const auto unknown = make_potato_profile({"03"});
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().kind == ErrorKind::kConfiguration);
  CHECK(unknown.error().detail.find("02, 01, 00") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "potato: nothing is sent before the gateway's magic") {
  begin(make_potato_profile({}).value());
  loop.turn();
  CHECK(wire.written.empty());
  say(kMagic + "frames");
  CHECK(reversals == 1);
  loop.turn();
  CHECK(session.received == "frames");
  CHECK(wire.written.empty());
}

TEST_CASE("what is certain once a profile has attached") {
  using ptth::Assurance;
  CHECK(make_h2_reverse_profile({})->assurance() == Assurance::kMutual);
  CHECK(make_potato_profile({}).value()->assurance() == Assurance::kConfirmed);
  CHECK(make_haproxy_profile()->assurance() == Assurance::kUnconfirmed);
  CHECK(make_direct_profile()->assurance() == Assurance::kArranged);
  const auto envoy = ptth::make_envoy_profile({}, {}, {});
  CHECK(envoy->assurance() == Assurance::kArranged);
  CHECK(Assurance::kArranged < Assurance::kUnconfirmed);
  CHECK(Assurance::kUnconfirmed < Assurance::kConfirmed);
  CHECK(Assurance::kConfirmed < Assurance::kMutual);
}

TEST_CASE("ptth-1.0: the hello is as the draft has it, and a matter of a name") {
  const ptth::HelloDefaults hello = ptth::ptth_1_0_hello();
  CHECK(hello.method == "POST");
  CHECK(hello.token == "PTTH/1.0");
  CHECK(hello.path_template == "/{id}");
  CHECK(hello.states_no_body);
  CHECK(hello.is_poll);
  const auto profile = ptth::make_ptth_1_0_profile({}, {});
  CHECK(profile->name() == "ptth-1.0");
  CHECK(profile->default_alpn() == std::vector<std::string>{"http/1.1"});
  CHECK_FALSE(profile->requires_alpn());
  CHECK(profile->assurance() == ptth::Assurance::kConfirmed);
}

TEST_CASE("h2-reverse: what the gateway must do, and what is announced") {
  const auto profile = make_h2_reverse_profile({"https://*.app.example"});
  CHECK(profile->name() == "h2-reverse");
  CHECK(profile->default_alpn() == std::vector<std::string>{"h2-reverse"});
  CHECK(profile->requires_alpn());
  CHECK(profile->requires_certificate_request());
  CHECK(profile->announced_origins() == std::vector<std::string>{"https://*.app.example"});
  CHECK_FALSE(make_direct_profile()->requires_certificate_request());
}

TEST_CASE_FIXTURE(Fixture, "h2-reverse: the session begins at once, and without a magic of ours") {
  begin(make_h2_reverse_profile({}));
  CHECK(reversals == 0);
  loop.turn();
  CHECK(reversals == 1);
  CHECK(wire.written.empty());
  stream->write(as_bytes("SETTINGS"));
  CHECK(wire.written == "SETTINGS");
}

TEST_CASE_FIXTURE(Fixture, "h2-reverse: the gateway's magic is taken away, in any split") {
  for (size_t split = 1; split <= kMagic.size() + 3; ++split) {
    CAPTURE(split);
    session = {};
    begin(make_h2_reverse_profile({}));
    const std::string all = kMagic + "first frames";
    say(std::string_view(all).substr(0, split));
    loop.turn();
    for (size_t at = split; at < all.size(); at += split)
      say(std::string_view(all).substr(at, split));
    loop.turn();
    CHECK(session.received == "first frames");
    wire.end();
    CHECK(session.ended);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "h2-reverse: anything but the magic ends the stream, and says what came") {
  using namespace std::string_view_literals;
  begin(make_h2_reverse_profile({}));
  loop.turn();
  say("\0\0\6\4\0\0\0\0\0"sv);
  REQUIRE(session.error.has_value());
  CHECK(session.error->kind == ErrorKind::kProtocol);
  CHECK(session.error->detail.find("--profile haproxy") != std::string::npos);
  CHECK(wire.listener == nullptr);
  stream->write(as_bytes("GOAWAY"));
  CHECK(wire.written.empty());

  // Also before the session listens.
  begin(make_h2_reverse_profile({}));
  say("HTTP/1.1 400");
  loop.turn();
  REQUIRE(refusal.has_value());
  CHECK(refusal->detail.find("HTTP/1 answer") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "direct: nothing is sent before the gateway's magic") {
  begin(make_direct_profile());
  loop.turn();
  CHECK(wire.written.empty());
  CHECK(reversals == 0);
  say(kMagic);
  CHECK(reversals == 1);
  CHECK(wire.written.empty());
}

TEST_CASE_FIXTURE(Fixture, "direct: the magic may come in any split, bytes behind it are kept") {
  for (size_t split = 1; split <= kMagic.size(); ++split) {
    CAPTURE(split);
    session = {};
    reversals = 0;
    begin(make_direct_profile());
    const std::string all = kMagic + "first frames";
    for (size_t at = 0; at < all.size(); at += split)
      say(std::string_view(all).substr(at, split));
    loop.turn();
    CHECK(reversals == 1);
    CHECK(session.received == "first frames");
    say("more");
    CHECK(session.received == "first framesmore");
  }
}

TEST_CASE_FIXTURE(Fixture, "direct: bytes behind the magic are not delivered inside set_listener") {
  listen_at_once = false;
  begin(make_direct_profile());
  say(kMagic + "frames");
  CHECK(reversals == 1);
  listen();
  CHECK(session.received.empty());
  loop.turn();
  CHECK(session.received == "frames");
  loop.turn();
  CHECK(session.deliveries == 1);
}

TEST_CASE_FIXTURE(Fixture, "direct: what follows stays behind the bytes that came with the magic") {
  begin(make_direct_profile());
  say(kMagic + "one ");
  say("two ");
  say("three");
  CHECK(session.received == "one two three");
  loop.turn();
  CHECK(session.received == "one two three");
}

TEST_CASE_FIXTURE(Fixture, "direct: a session that pauses gets the rest when it resumes") {
  listen_at_once = false;
  begin(make_direct_profile());
  say(kMagic + "frames");
  listen();
  stream->pause_reading();
  loop.turn();
  CHECK(session.received.empty());
  CHECK(wire.paused);
  stream->resume_reading();
  CHECK(session.received.empty());
  loop.turn();
  CHECK(session.received == "frames");
}

TEST_CASE_FIXTURE(Fixture, "direct: the end comes behind the bytes, and a failure at once") {
  listen_at_once = false;
  begin(make_direct_profile());
  say(kMagic + "frames");
  listen();
  stream->pause_reading();
  wire.listener->on_end();
  CHECK_FALSE(session.ended);
  stream->resume_reading();
  loop.turn();
  CHECK(session.received == "frames");
  CHECK(session.ended);

  wire.listener->on_failed({ErrorKind::kClosed, Side::kGateway, "reset", true});
  REQUIRE(session.error.has_value());
  CHECK(session.error->detail == "reset");
}

TEST_CASE_FIXTURE(Fixture, "direct: anything but the magic is refused, and says what came") {
  const auto refused_with = [&](std::string_view text) {
    refusal.reset();
    begin(make_direct_profile());
    say(text);
    loop.turn();
    REQUIRE(refusal.has_value());
    CHECK(refusal->kind == ErrorKind::kProtocol);
    CHECK(refusal->side == Side::kGateway);
    CHECK(wire.listener == nullptr);
    return refusal->detail;
  };
  CHECK(refused_with("HTTP/1.1 404 Not Found\r\n").find("HTTP/1 answer") != std::string::npos);
  using namespace std::string_view_literals;
  CHECK(refused_with("\0\0\6\4\0\0\0\0\0"sv).find("--profile haproxy") != std::string::npos);
  CHECK(refused_with("X").find("other bytes") != std::string::npos);
  CHECK(refused_with("PRI * HTTP/1.0\r\n").find("other bytes") != std::string::npos);
  CHECK(refused_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r").find("magic") != std::string::npos);
  CHECK(reversals == 0);
}

TEST_CASE_FIXTURE(Fixture, "direct: an end before the magic is a closed connection") {
  begin(make_direct_profile());
  say("PRI * HTTP");
  wire.listener->on_end();
  REQUIRE(refusal.has_value());
  CHECK(refusal->kind == ErrorKind::kClosed);
  CHECK(reversals == 0);
}

TEST_CASE_FIXTURE(Fixture, "the reversed stream passes everything through") {
  begin(make_direct_profile());
  say(kMagic);
  stream->write(as_bytes("frames"));
  CHECK(wire.written == "frames");
  wire.listener->on_sent();
  CHECK(session.sent == 1);
  stream->shutdown();
  CHECK(wire.shut_down);
  wire.listener->on_end();
  CHECK(session.ended);
  stream->set_listener(nullptr);
  CHECK(wire.listener == nullptr);
  stream.reset();
  CHECK(wire.destroyed);
}

TEST_CASE_FIXTURE(Fixture, "a hello that is abandoned is silent") {
  for (const auto& profile :
       {make_haproxy_profile(), make_direct_profile(), make_h2_reverse_profile({})}) {
    begin(profile);
    stream->set_listener(nullptr);
    CHECK(wire.listener == nullptr);
    loop.turn();
    CHECK(reversals == 0);
    CHECK_FALSE(refusal.has_value());
  }
}
