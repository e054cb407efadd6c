#include "agent/link/proxy_tunnel.h"

#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <memory>
#include <optional>
#include <string>

#include <doctest/doctest.h>

using ptth::ByteStream;
using ptth::ChannelProtocol;
using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::make_proxy_tunnel;
using ptth::Profile;
using ptth::Secret;
using ptth::Side;
using ptth::test::as_bytes;
using ptth::test::make_scripted_stream;
using ptth::test::RecordingListener;
using ptth::test::Wire;

namespace {

struct TunnelStage : Profile::Listener {
  explicit TunnelStage(std::string credentials = {}) {
    stream = make_proxy_tunnel(
        loop, make_scripted_stream(wire),
        {"http://proxy:3128", "gw.example:443", Secret(std::move(credentials))}, *this);
    loop.turn();
  }

  virtual ~TunnelStage() = default;

  void on_reversed(ChannelProtocol) override { is_open = true; }

  void on_not_reversed(const Error& error) override { refusal = error; }

  void hear(const std::string& text) {
    wire.say(text);
    loop.turn();
  }

  Loop loop{ClockMode::kManual};
  Wire wire;
  bool is_open = false;
  std::optional<Error> refusal;
  std::unique_ptr<ByteStream> stream;
};

}  // namespace

TEST_CASE("a tunnel is asked for, and is the gateway's connection once it is open") {
  TunnelStage stage;
  CHECK(
      stage.wire.written ==
      "CONNECT gw.example:443 HTTP/1.1\r\nHost: gw.example:443\r\nUser-Agent: ptth-agent\r\n\r\n");
  stage.hear("HTTP/1.1 200 Connection established\r\n\r\n");
  CHECK(stage.is_open);
  RecordingListener gateway;
  stage.stream->set_listener(&gateway);
  stage.stream->write(as_bytes("hello"));
  stage.hear("hello yourself");
  CHECK(stage.wire.written.ends_with("\r\n\r\nhello"));
  CHECK(gateway.received == "hello yourself");
}

TEST_CASE("what the gateway says at once is its own, whatever the proxy says of a body") {
  TunnelStage stage;
  stage.hear("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst bytes");
  REQUIRE(stage.is_open);
  RecordingListener gateway;
  stage.stream->set_listener(&gateway);
  stage.loop.turn();
  CHECK(gateway.received == "first bytes");
}

TEST_CASE("answers in pieces, older answers and interim ones are understood") {
  TunnelStage bytewise;
  for (const char byte : std::string("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\n")) {
    CHECK_FALSE(bytewise.is_open);
    bytewise.hear(std::string(1, byte));
  }
  CHECK(bytewise.is_open);
}

TEST_CASE("user and password go to the proxy, as Basic has it") {
  const TunnelStage stage("Aladdin:open sesame");
  // RFC 7617 section 2.
  CHECK(
      stage.wire.written.find("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n") !=
      std::string::npos);
}

TEST_CASE("a proxy's no is told, and what it is about") {
  struct Case {
    const char* answer;
    ErrorKind kind;
    const char* says;
  };

  for (const Case& one : {
           Case{"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ErrorKind::kRefused,
                "--proxy-credentials-file"},
           Case{"HTTP/1.0 401 Unauthorized\r\n\r\n", ErrorKind::kRefused, "wants a user"},
           Case{"HTTP/1.1 403 Filtered\r\nContent-Length: 0\r\n\r\n", ErrorKind::kUnreachable,
                "it answered 403"},
           Case{"HTTP/1.1 502 Bad Gateway\r\n\r\n", ErrorKind::kUnreachable, "gw.example:443"},
           Case{"HTTP/1.1 101 Switching Protocols\r\n\r\n", ErrorKind::kProtocol, "no HTTP proxy"},
           Case{"SSH-2.0-OpenSSH\r\n", ErrorKind::kProtocol, "no HTTP proxy"},
       }) {
    CAPTURE(one.answer);
    TunnelStage stage;
    stage.hear(one.answer);
    CHECK_FALSE(stage.is_open);
    REQUIRE(stage.refusal.has_value());
    CHECK(stage.refusal->kind == one.kind);
    CHECK(stage.refusal->detail.find("http://proxy:3128") != std::string::npos);
    CHECK(stage.refusal->detail.find(one.says) != std::string::npos);
  }
}

TEST_CASE("credentials that the proxy does not accept are never shown") {
  TunnelStage stage("user:secret");
  stage.hear("HTTP/1.1 407 no secret here\r\n\r\n");
  REQUIRE(stage.refusal.has_value());
  CHECK(stage.refusal->detail.find("does not accept our user and password") != std::string::npos);
  CHECK(stage.refusal->detail.find("secret") == std::string::npos);
}

TEST_CASE("a proxy that closes, or never comes to its answer, opens no tunnel") {
  TunnelStage closing;
  closing.wire.end();
  REQUIRE(closing.refusal.has_value());
  CHECK(closing.refusal->kind == ErrorKind::kUnreachable);
  TunnelStage endless;
  for (int answer = 0; answer < 20 && !endless.refusal; ++answer)
    endless.hear("HTTP/1.1 103 Early Hints\r\n\r\n");
  REQUIRE(endless.refusal.has_value());
  CHECK(endless.refusal->kind == ErrorKind::kProtocol);
}
