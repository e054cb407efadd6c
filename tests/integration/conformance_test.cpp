// What every way to reverse a connection has to carry: one list of scenarios, run over each
// profile, on pipes in memory (whole, and byte by byte) and on real sockets.

#include "agent/link/challenge_origin.h"
#include "agent/link/magic_stream.h"
#include "agent/link/profile.h"
#include "agent/relay/budget.h"
#include "agent/relay/http1_session.h"
#include "agent/relay/http2_session.h"
#include "agent/relay/relay_metrics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "tests/support/gateway_end.h"
#include "tests/support/hello_transcript.h"
#include "tests/support/pipe_stream.h"
#include "tests/support/run_until.h"
#include "tests/support/scripted_origin.h"
#include "tests/support/sockets.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tunnel_end.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace {

using Channel = ptth::ChannelProtocol;
using ptth::BodyKind;
using ptth::ByteStream;
using ptth::Error;
using ptth::Loop;
using ptth::Profile;
using ptth::Session;
using ptth::SessionOptions;
using ptth::test::GatewayEnd;
using ptth::test::kAnyRequest;
using ptth::test::kHttp2Magic;
using ptth::test::Opening;

// What a connection does when the gateway's ALPN id means HTTP/1.1, whatever the profile.
class Http1ByAlpn final : public Profile {
 public:
  [[nodiscard]] std::string_view name() const override { return "HTTP/1.1 by ALPN"; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return {}; }

  [[nodiscard]] ptth::DrainStyle drain_style() const override {
    return ptth::DrainStyle::kAnnounce;
  }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return ptth::make_http1_stream(loop, std::move(connected), listener);
  }
};

enum class Transport { kPipe, kPipeByteByByte, kTcp, kUnix };

// What stands between the session and the origin.
enum class Front { kNone, kChallenge };

struct Ends {
  std::unique_ptr<ByteStream> worker;
  std::unique_ptr<ByteStream> gateway;
};

Ends make_ends(Loop& loop, Transport transport, const std::string& directory) {
  if (transport == Transport::kPipe || transport == Transport::kPipeByteByByte) {
    ptth::test::PipeOptions options;
    options.delivery = ptth::test::Delivery::kNextTurn;
    if (transport == Transport::kPipeByteByByte) options.chunk_bytes_max = 1;
    ptth::test::PipePair pair = ptth::test::make_pipe(loop, options, options);
    return {std::move(pair.a), std::move(pair.b)};
  }
  ptth::test::SocketPair pair = transport == Transport::kTcp
                                    ? ptth::test::tcp_pair(loop)
                                    : ptth::test::unix_pair(loop, directory + "/socket");
  return {std::move(pair.connected), std::move(pair.accepted)};
}

// A worker's end that has reversed the connection, and the gateway's end of it.
class Stage final : private Profile::Listener, private Session::Listener {
 public:
  struct Way {
    Channel channel = Channel::kHttp2;
    Transport transport = Transport::kPipe;
    Front front = Front::kNone;
  };

  Stage(const Profile& profile, const Opening& opening, const Way& way) {
    const auto& [channel, transport, front] = way;
    Ends ends = make_ends(loop, transport, directory_.path());
    if (opening.in_tunnel) ends.gateway = ptth::test::make_tunnel_end(std::move(ends.gateway));
    const auto make_gateway_end = channel == Channel::kHttp2 ? ptth::test::make_http2_gateway_end
                                                             : ptth::test::make_http1_gateway_end;
    gateway = make_gateway_end(std::move(ends.gateway), opening);
    options_.capacity = 2;
    options_.drain_style = profile.drain_style();
    options_.capacity_in_second_settings = profile.capacity_in_second_settings();
    options_.origin_frame = profile.announced_origins();
    if (front == Front::kChallenge) {
      ptth::ChallengeOptions challenge;
      challenge.key_file = "/not/asked/for";
      challenge.prefixes = {"/"};
      front_ = ptth::make_challenge_origin({loop, origin, log_, metrics_}, challenge, {});
    }
    reversed_ = profile.reverse(loop, std::move(ends.worker), *this);
    REQUIRE(until([this] { return attached && gateway->is_ready(); }));
  }

  ~Stage() {
    session.reset();
    loop.turn();
    reversed_.reset();
    gateway.reset();
    loop.turn();
  }

  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  Stage(Stage&&) = delete;
  Stage& operator=(Stage&&) = delete;

  [[nodiscard]] bool until(const std::function<bool()>& condition) {
    return ptth::test::run_until(loop, condition);
  }

  ptth::ScriptedOrigin::Seen& call(size_t index) {
    REQUIRE(until([&] { return origin.calls.size() > index; }));
    return *origin.calls[index];
  }

  Loop loop;
  ptth::ScriptedOrigin origin;
  std::unique_ptr<GatewayEnd> gateway;
  std::unique_ptr<Session> session;
  bool attached = false;
  bool ended = false;

 private:
  void on_reversed(Channel channel) override {
    const auto start =
        channel == Channel::kHttp2 ? ptth::start_http2_session : ptth::start_http1_session;
    ptth::Origin& answers = front_ ? *front_ : static_cast<ptth::Origin&>(origin);
    session = start({loop, *reversed_, answers, log_, relay_metrics_, budget_}, options_, *this);
  }

  void on_not_reversed(const Error& error) override { FAIL(error.detail); }

  void on_session_attached() override { attached = true; }

  void on_session_leaving() override {}

  // As the link does.
  void on_session_ended(const Error& /*error*/) override {
    ended = true;
    loop.retire(std::move(session));
    loop.retire(std::move(reversed_));
  }

  ptth::test::TempDir directory_;
  ptth::Metrics metrics_;
  ptth::RelayMetrics relay_metrics_{metrics_, "gw"};
  ptth::Log log_{{ptth::LogLevel::kOff, ptth::LogFormat::kJson, 2}};
  ptth::Budget budget_;
  SessionOptions options_;
  std::unique_ptr<ptth::Origin> front_;
  std::unique_ptr<ByteStream> reversed_;
};

void get_and_answer(Stage& stage) {
  stage.gateway->get(1, "/a?b");
  auto& call = stage.call(0);
  CHECK(call.head.path == "/a?b");
  call.answer_head(200, BodyKind::kUnknown);
  call.answer_body("hello");
  ptth::FieldList trailers;
  trailers.add("digest", "abc");
  call.answer_end(trailers);
  CHECK(stage.until([&] { return stage.gateway->is_complete(1); }));
  CHECK(stage.gateway->statuses(1) == "200");
  CHECK(stage.gateway->body(1) == "hello");
  CHECK(stage.gateway->digest(1) == "abc");
}

void post_with_trailers(Stage& stage) {
  stage.gateway->post(1);
  stage.gateway->send_body(1, "one ");
  stage.gateway->send_body(1, "two");
  stage.gateway->end_body(1, "abc");
  auto& call = stage.call(0);
  CHECK(stage.until([&] { return call.body_ended; }));
  CHECK(call.body == "one two");
  CHECK(call.trailers.find("digest") == "abc");
}

void interim_answers(Stage& stage) {
  stage.gateway->get(1, "/");
  ptth::ResponseHead hints;
  hints.status = 103;
  stage.call(0).listener->on_interim_response(hints);
  stage.call(0).answer_head(204, BodyKind::kNone);
  stage.call(0).answer_end();
  CHECK(stage.until([&] { return stage.gateway->is_complete(1); }));
  CHECK(stage.gateway->statuses(1) == "103204");
}

void early_answer(Stage& stage) {
  stage.gateway->post(1);
  stage.call(0).answer_head(413, BodyKind::kNone);
  stage.call(0).answer_end();
  CHECK(stage.until([&] { return stage.gateway->is_called_off(1); }));
  CHECK(stage.gateway->statuses(1) == "413");
}

void refusal_beyond_capacity(Stage& stage) {
  for (const int32_t exchange : {1, 3, 5})
    stage.gateway->get(exchange, "/");
  CHECK(stage.until([&] { return stage.gateway->is_refused(5); }));
  CHECK(stage.origin.calls.size() == 2);
}

void reset_by_the_gateway(Stage& stage) {
  stage.gateway->get(1, "/");
  auto& call = stage.call(0);
  stage.gateway->cancel(1);
  CHECK(stage.until([&] { return call.cancelled; }));
}

void a_body_larger_than_every_window(Stage& stage) {
  constexpr size_t kSize = 400'000;
  stage.gateway->get(1, "/");
  auto& call = stage.call(0);
  call.answer_head(200, BodyKind::kUnknown);
  std::string expected;
  for (size_t part = 0; expected.size() < kSize; ++part) {
    const std::string piece = std::to_string(part) + std::string(10'000, '.');
    expected += piece;
    CHECK(stage.until([&] { return !call.paused; }));
    call.answer_body(piece);
  }
  call.answer_end();
  CHECK(stage.until([&] { return stage.gateway->is_complete(1); }));
  CHECK(stage.gateway->body(1) == expected);
}

void origin_failure_in_mid_answer(Stage& stage) {
  stage.gateway->get(1, "/");
  stage.call(0).answer_head(200, BodyKind::kUnknown);
  stage.call(0).answer_body("half");
  CHECK(stage.until([&] { return stage.gateway->body(1) == "half"; }));
  stage.call(0).fail({ptth::ErrorKind::kClosed, ptth::Side::kOrigin, "closed"});
  CHECK(stage.until([&] { return stage.gateway->is_cut(1); }));
  CHECK(stage.gateway->body(1) == "half");
}

void drain(Stage& stage) {
  stage.gateway->get(1, "/");
  auto& call = stage.call(0);
  stage.session->drain();
  CHECK_FALSE(stage.ended);
  call.answer_head(204, BodyKind::kNone);
  call.answer_end();
  CHECK(stage.until([&] { return stage.ended && stage.gateway->is_left(); }));
  CHECK(stage.until([&] { return stage.gateway->statuses(1) == "204"; }));
}

void end_of_the_connection(Stage& stage) {
  stage.gateway->get(1, "/");
  auto& call = stage.call(0);
  stage.gateway->end();
  CHECK(stage.until([&] { return stage.ended && call.cancelled; }));
}

void one_after_the_other(Stage& stage) {
  for (const int32_t exchange : {1, 3, 5}) {
    stage.gateway->get(exchange, "/" + std::to_string(exchange));
    auto& call = stage.call(static_cast<size_t>(exchange / 2));
    CHECK(call.head.path == "/" + std::to_string(exchange));
    call.answer_head(200, BodyKind::kUnknown);
    call.answer_body(std::to_string(exchange));
    call.answer_end();
    CHECK(stage.until([&] { return stage.gateway->is_complete(exchange); }));
    CHECK(stage.gateway->body(exchange) == std::to_string(exchange));
  }
}

struct Scenario {
  const char* name;
  void (*run)(Stage&);
  bool needs_streams = false;  // A connection of HTTP/1.1 carries one exchange at a time.
};

constexpr Scenario kScenarios[] = {
    {"get and answer", get_and_answer},
    {"post with trailers", post_with_trailers},
    {"interim answers", interim_answers},
    {"early answer", early_answer},
    {"one after the other", one_after_the_other},
    {"refusal beyond capacity", refusal_beyond_capacity, true},
    {"reset by the gateway", reset_by_the_gateway},
    {"a body larger than every window", a_body_larger_than_every_window},
    {"origin failure in mid-answer", origin_failure_in_mid_answer},
    {"drain", drain},
    {"end of the connection", end_of_the_connection},
};

void run_all(const Profile& profile, const Opening& opening, Channel channel = Channel::kHttp2,
             Front front = Front::kNone) {
  for (const Transport transport :
       {Transport::kPipe, Transport::kPipeByteByByte, Transport::kTcp, Transport::kUnix}) {
    CAPTURE(transport);
    for (const Scenario& scenario : kScenarios) {
      if (scenario.needs_streams && channel == Channel::kHttp11) continue;
      const std::string name = scenario.name;
      CAPTURE(name);
      Stage stage(profile, opening, {channel, transport, front});
      scenario.run(stage);
    }
  }
}

std::string yes(const std::string& token, const std::string& lines = "") {
  return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + token + "\r\n" +
         lines + "\r\n";
}

}  // namespace

TEST_CASE("conformance: profile haproxy") {
  run_all(*ptth::make_haproxy_profile(), {kHttp2Magic, ""});
}

TEST_CASE("conformance: profile direct") {
  run_all(*ptth::make_direct_profile(), {"", kHttp2Magic});
}

TEST_CASE("conformance: profile potato") {
  run_all(*ptth::make_potato_profile({}).value(), {"", kHttp2Magic});
}

TEST_CASE("conformance: profile potato, with a challenge configured") {
  run_all(*ptth::make_potato_profile({}).value(), {"", kHttp2Magic}, Channel::kHttp2,
          Front::kChallenge);
}

TEST_CASE("conformance: HTTP/1.1 by ALPN, with a challenge configured") {
  run_all(Http1ByAlpn(), {"", ""}, Channel::kHttp11, Front::kChallenge);
}

TEST_CASE("conformance: profile h2-reverse") {
  run_all(*ptth::make_h2_reverse_profile({"https://app.example"}), {"", kHttp2Magic});
}

TEST_CASE("conformance: profile ptth") {
  run_all(*ptth::make_ptth_profile(ptth::test::hello_spec(), {}),
          {kAnyRequest, yes("ptth") + kHttp2Magic});
}

TEST_CASE("conformance: profile ptth-connect") {
  const auto spec = ptth::test::hello_spec({}, ptth::ptth_connect_hello());
  run_all(*ptth::make_connect_profile("ptth-connect", spec, {}, {}), {"", kHttp2Magic, true});
}

TEST_CASE("conformance: profile envoy") {
  run_all(*ptth::make_envoy_profile(ptth::test::hello_spec({}, ptth::envoy_hello({})), {}, {}),
          {kAnyRequest, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" + kHttp2Magic});
}

TEST_CASE("conformance: profile reverse") {
  ptth::HelloOptions options;
  options.variables = {"listen_host=*", "listen_port=80"};
  run_all(*ptth::make_reverse_profile(ptth::test::hello_spec(options, ptth::reverse_hello()), {}),
          {kAnyRequest, yes("reverse") + kHttp2Magic});
}

TEST_CASE("conformance: HTTP/1.1 by ALPN") {
  run_all(Http1ByAlpn(), {"", ""}, Channel::kHttp11);
}

TEST_CASE("conformance: profile ptth-1.0") {
  ptth::HelloOptions options;
  options.variables = {"id=worker1"};
  const auto spec = ptth::test::hello_spec(options, ptth::ptth_1_0_hello());
  run_all(*ptth::make_ptth_1_0_profile(spec, {}), {kAnyRequest, yes("PTTH/1.0")}, Channel::kHttp11);
}

TEST_CASE("conformance: profile ptth, which chooses HTTP/1.1") {
  ptth::HelloOptions options;
  options.channels = {"h2", "http/1.1"};
  run_all(*ptth::make_ptth_profile(ptth::test::hello_spec(options), {}),
          {kAnyRequest, yes("ptth", "ALPN: http%2F1.1\r\n")}, Channel::kHttp11);
}

TEST_CASE("conformance: profile reverse, which chooses HTTP/1.1") {
  ptth::HelloOptions options;
  options.variables = {"listen_host=*", "listen_port=80"};
  options.channels = {"http/1.1"};
  run_all(*ptth::make_reverse_profile(ptth::test::hello_spec(options, ptth::reverse_hello()), {}),
          {kAnyRequest, yes("reverse", "Selected-ALPN: http%2F1.1\r\n")}, Channel::kHttp11);
}
