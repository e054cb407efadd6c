// What every way to reverse a connection has to carry: one list of scenarios, run over each
// profile, on pipes in memory (whole, and byte by byte) and on real sockets.

#include "agent/link/profile.h"
#include "agent/relay/budget.h"
#include "agent/relay/http2_session.h"
#include "agent/relay/relay_metrics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "tests/support/hello_transcript.h"
#include "tests/support/http2_frames.h"
#include "tests/support/pipe_stream.h"
#include "tests/support/run_until.h"
#include "tests/support/scripted_gateway.h"
#include "tests/support/scripted_origin.h"
#include "tests/support/sockets.h"
#include "tests/support/temp_dir.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace {

using ptth::BodyKind;
using ptth::Bytes;
using ptth::ByteStream;
using ptth::Error;
using ptth::Loop;
using ptth::Profile;
using ptth::request_fields;
using ptth::Session;
using ptth::SessionOptions;
using ptth::TestFrame;

const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kRequestEnd = "\r\n\r\n";

// How a profile begins, seen from the gateway.
struct Opening {
  std::string worker_sends;   // Exactly this; kRequestEnd: any request.
  std::string gateway_sends;  // Behind that.
};

// The gateway's end of a reversed connection, frame by frame.
class GatewayEnd final : private ByteStream::Listener {
 public:
  GatewayEnd(std::unique_ptr<ByteStream> stream, Opening opening)
      : opening_(std::move(opening)), stream_(std::move(stream)) {
    stream_->set_listener(this);
    if (opening_.worker_sends.empty()) open();
  }

  ~GatewayEnd() { stream_->set_listener(nullptr); }

  GatewayEnd(const GatewayEnd&) = delete;
  GatewayEnd& operator=(const GatewayEnd&) = delete;
  GatewayEnd(GatewayEnd&&) = delete;
  GatewayEnd& operator=(GatewayEnd&&) = delete;

  void write(const std::vector<uint8_t>& bytes) { stream_->write(bytes); }

  void frame(uint8_t type, uint8_t flags, int32_t stream_id, const std::vector<uint8_t>& payload) {
    write(ptth::make_frame(type, flags, stream_id, payload));
  }

  void request(int32_t stream_id, const ptth::HeaderFields& fields, uint8_t flags) {
    frame(ptth::kFrameHeaders, static_cast<uint8_t>(flags | ptth::kFlagEndHeaders), stream_id,
          ptth::encode_fields(fields));
  }

  void data(int32_t stream_id, const std::string& text, uint8_t flags) {
    frame(ptth::kFrameData, flags, stream_id, {text.begin(), text.end()});
  }

  void end() { stream_->shutdown(); }

  [[nodiscard]] std::string status(int32_t stream_id) const {
    return text_of(statuses_, stream_id);
  }

  [[nodiscard]] std::string body(int32_t stream_id) const { return text_of(bodies_, stream_id); }

  [[nodiscard]] std::string trailer(int32_t stream_id) const {
    return text_of(trailers_, stream_id);
  }

  [[nodiscard]] bool complete(int32_t stream_id) const { return complete_.contains(stream_id); }

  [[nodiscard]] std::optional<uint32_t> reset_code(int32_t stream_id) const {
    const auto found = resets_.find(stream_id);
    if (found == resets_.end()) return std::nullopt;
    return found->second;
  }

  bool settings_acknowledged = false;
  bool goaway = false;
  bool ended = false;
  uint64_t credit_taken = 0;

 private:
  static std::string text_of(const std::map<int32_t, std::string>& texts, int32_t stream_id) {
    const auto found = texts.find(stream_id);
    return found == texts.end() ? std::string() : found->second;
  }

  void open() {
    is_open_ = true;
    write({opening_.gateway_sends.begin(), opening_.gateway_sends.end()});
    frame(ptth::kFrameSettings, 0, 0, {});
  }

  void on_bytes(Bytes bytes) override {
    const bool asks = opening_.worker_sends == kRequestEnd;
    while (!is_open_ && !bytes.empty()) {
      begun_ += static_cast<char>(bytes.front());
      bytes = bytes.subspan(1);
      if (asks ? begun_.ends_with(kRequestEnd) : begun_ == opening_.worker_sends) open();
      REQUIRE((asks || opening_.worker_sends.starts_with(begun_)));
    }
    for (const TestFrame& frame : reader_.read(bytes))
      take(frame);
  }

  void on_end() override { ended = true; }

  void on_failed(const Error& /*error*/) override { ended = true; }

  void on_sent() override {}

  void take(const TestFrame& frame) {
    const bool is_ack = (frame.flags & ptth::kFlagAck) != 0;
    if (frame.type == ptth::kFrameSettings && !is_ack) {
      this->frame(ptth::kFrameSettings, ptth::kFlagAck, 0, {});
    } else if (frame.type == ptth::kFrameSettings) {
      settings_acknowledged = true;
    } else if (frame.type == ptth::kFramePing && !is_ack) {
      this->frame(ptth::kFramePing, ptth::kFlagAck, 0, frame.payload);
    } else if (frame.type == ptth::kFrameGoaway) {
      goaway = true;
    } else if (frame.type == ptth::kFrameReset) {
      resets_[frame.stream_id] = frame.number_at(0);
    } else if (frame.type == ptth::kFrameHeaders) {
      statuses_[frame.stream_id] += frame.field(":status");
      trailers_[frame.stream_id] += frame.field("digest");
    } else if (frame.type == ptth::kFrameData) {
      take_data(frame);
    }
    const bool carries = frame.type == ptth::kFrameHeaders || frame.type == ptth::kFrameData;
    if (carries && frame.ends_stream()) complete_[frame.stream_id] = true;
  }

  void take_data(const TestFrame& frame) {
    bodies_[frame.stream_id].append(frame.payload.begin(), frame.payload.end());
    if (frame.payload.empty()) return;
    // Credit goes back at once: these scenarios are about what arrives.
    const std::vector<uint8_t> count =
        ptth::big_endian(static_cast<uint32_t>(frame.payload.size()));
    this->frame(ptth::kFrameWindowUpdate, 0, 0, count);
    if (!frame.ends_stream()) this->frame(ptth::kFrameWindowUpdate, 0, frame.stream_id, count);
  }

  Opening opening_;
  std::string begun_;
  bool is_open_ = false;
  ptth::FrameReader reader_;
  std::map<int32_t, std::string> statuses_;
  std::map<int32_t, std::string> bodies_;
  std::map<int32_t, std::string> trailers_;
  std::map<int32_t, bool> complete_;
  std::map<int32_t, uint32_t> resets_;
  std::unique_ptr<ByteStream> stream_;
};

enum class Transport { kPipe, kPipeByteByByte, kTcp, kUnix };

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
  Stage(const Profile& profile, const Opening& opening, Transport transport) {
    Ends ends = make_ends(loop, transport, directory_.path());
    gateway = std::make_unique<GatewayEnd>(std::move(ends.gateway), opening);
    options_.capacity = 2;
    options_.drain_style = profile.drain_style();
    options_.capacity_in_second_settings = profile.capacity_in_second_settings();
    options_.origin_frame = profile.announced_origins();
    reversed_ = profile.reverse(loop, std::move(ends.worker), *this);
    REQUIRE(until([this] { return attached && gateway->settings_acknowledged; }));
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
  void on_reversed(ptth::ChannelProtocol /*channel*/) override {
    session = start_http2_session({loop, *reversed_, origin, log_, relay_metrics_, budget_},
                                  options_, *this);
  }

  void on_not_reversed(const Error& error) override { FAIL(error.detail); }

  void on_session_attached() override { attached = true; }

  void on_session_leaving() override {}

  void on_session_ended(const Error& /*error*/) override { ended = true; }

  ptth::test::TempDir directory_;
  ptth::Metrics metrics_;
  ptth::RelayMetrics relay_metrics_{metrics_, "gw"};
  ptth::Log log_{{ptth::LogLevel::kOff, ptth::LogFormat::kJson, 2}};
  ptth::Budget budget_;
  SessionOptions options_;
  std::unique_ptr<ByteStream> reversed_;
};

constexpr uint8_t kEnd = ptth::kFlagEndStream;

void get_and_answer(Stage& stage) {
  stage.gateway->request(1, request_fields("GET", "/a?b"), kEnd);
  auto& call = stage.call(0);
  CHECK(call.head.path == "/a?b");
  call.answer_head(200, BodyKind::kUnknown);
  call.answer_body("hello");
  ptth::FieldList trailers;
  trailers.add("digest", "abc");
  call.answer_end(trailers);
  CHECK(stage.until([&] { return stage.gateway->complete(1); }));
  CHECK(stage.gateway->status(1) == "200");
  CHECK(stage.gateway->body(1) == "hello");
  CHECK(stage.gateway->trailer(1) == "abc");
}

void post_with_trailers(Stage& stage) {
  stage.gateway->request(1, request_fields("POST", "/"), 0);
  stage.gateway->data(1, "one ", 0);
  stage.gateway->data(1, "two", 0);
  stage.gateway->request(1, {{"digest", "abc"}}, kEnd);
  auto& call = stage.call(0);
  CHECK(stage.until([&] { return call.body_ended; }));
  CHECK(call.body == "one two");
  CHECK(call.trailers.find("digest") == "abc");
}

void interim_answers(Stage& stage) {
  stage.gateway->request(1, request_fields("GET", "/"), kEnd);
  ptth::ResponseHead hints;
  hints.status = 103;
  stage.call(0).listener->on_interim_response(hints);
  stage.call(0).answer_head(204, BodyKind::kNone);
  stage.call(0).answer_end();
  CHECK(stage.until([&] { return stage.gateway->complete(1); }));
  CHECK(stage.gateway->status(1) == "103204");
}

void early_answer(Stage& stage) {
  stage.gateway->request(1, request_fields("POST", "/"), 0);
  stage.call(0).answer_head(413, BodyKind::kNone);
  stage.call(0).answer_end();
  CHECK(stage.until([&] { return stage.gateway->reset_code(1).has_value(); }));
  CHECK(stage.gateway->status(1) == "413");
  CHECK(stage.gateway->reset_code(1) == 0U);
}

void refusal_beyond_capacity(Stage& stage) {
  for (const int32_t stream_id : {1, 3, 5})
    stage.gateway->request(stream_id, request_fields("GET", "/"), kEnd);
  CHECK(stage.until([&] { return stage.gateway->reset_code(5).has_value(); }));
  CHECK(stage.gateway->reset_code(5) == 7U);
  CHECK(stage.origin.calls.size() == 2);
}

void reset_by_the_gateway(Stage& stage) {
  stage.gateway->request(1, request_fields("GET", "/"), kEnd);
  auto& call = stage.call(0);
  stage.gateway->frame(ptth::kFrameReset, 0, 1, ptth::big_endian(8));
  CHECK(stage.until([&] { return call.cancelled; }));
}

void a_body_larger_than_every_window(Stage& stage) {
  constexpr size_t kSize = 400'000;
  stage.gateway->request(1, request_fields("GET", "/"), kEnd);
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
  CHECK(stage.until([&] { return stage.gateway->complete(1); }));
  CHECK(stage.gateway->body(1) == expected);
}

void origin_failure_in_mid_answer(Stage& stage) {
  stage.gateway->request(1, request_fields("GET", "/"), kEnd);
  stage.call(0).answer_head(200, BodyKind::kUnknown);
  stage.call(0).answer_body("half");
  CHECK(stage.until([&] { return stage.gateway->body(1) == "half"; }));
  stage.call(0).fail({ptth::ErrorKind::kClosed, ptth::Side::kOrigin, "closed"});
  CHECK(stage.until([&] { return stage.gateway->reset_code(1).has_value(); }));
  CHECK_FALSE(stage.gateway->complete(1));
}

void drain(Stage& stage) {
  stage.gateway->request(1, request_fields("GET", "/"), kEnd);
  auto& call = stage.call(0);
  stage.session->drain();
  CHECK_FALSE(stage.ended);
  call.answer_head(204, BodyKind::kNone);
  call.answer_end();
  CHECK(stage.until([&] { return stage.ended && stage.gateway->goaway; }));
  CHECK(stage.until([&] { return stage.gateway->status(1) == "204"; }));
}

void end_of_the_connection(Stage& stage) {
  stage.gateway->request(1, request_fields("GET", "/"), kEnd);
  auto& call = stage.call(0);
  stage.gateway->end();
  CHECK(stage.until([&] { return stage.ended && call.cancelled; }));
}

struct Scenario {
  const char* name;
  void (*run)(Stage&);
};

constexpr Scenario kScenarios[] = {
    {"get and answer", get_and_answer},
    {"post with trailers", post_with_trailers},
    {"interim answers", interim_answers},
    {"early answer", early_answer},
    {"refusal beyond capacity", refusal_beyond_capacity},
    {"reset by the gateway", reset_by_the_gateway},
    {"a body larger than every window", a_body_larger_than_every_window},
    {"origin failure in mid-answer", origin_failure_in_mid_answer},
    {"drain", drain},
    {"end of the connection", end_of_the_connection},
};

void run_all(const Profile& profile, const Opening& opening) {
  for (const Transport transport :
       {Transport::kPipe, Transport::kPipeByteByByte, Transport::kTcp, Transport::kUnix}) {
    CAPTURE(transport);
    for (const Scenario& scenario : kScenarios) {
      const std::string name = scenario.name;
      CAPTURE(name);
      Stage stage(profile, opening, transport);
      scenario.run(stage);
    }
  }
}

std::string yes(const std::string& token) {
  return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + token +
         "\r\n\r\n";
}

}  // namespace

TEST_CASE("conformance: profile haproxy") {
  run_all(*ptth::make_haproxy_profile(), {kMagic, ""});
}

TEST_CASE("conformance: profile direct") {
  run_all(*ptth::make_direct_profile(), {"", kMagic});
}

TEST_CASE("conformance: profile potato") {
  run_all(*ptth::make_potato_profile({}).value(), {"", kMagic});
}

TEST_CASE("conformance: profile h2-reverse") {
  run_all(*ptth::make_h2_reverse_profile({"https://app.example"}), {"", kMagic});
}

TEST_CASE("conformance: profile ptth") {
  run_all(*ptth::make_ptth_profile(ptth::test::hello_spec(), {}),
          {kRequestEnd, yes("ptth") + kMagic});
}

TEST_CASE("conformance: profile envoy") {
  run_all(*ptth::make_envoy_profile(ptth::test::hello_spec({}, ptth::envoy_hello({})), {}, {}),
          {kRequestEnd, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" + kMagic});
}

TEST_CASE("conformance: profile reverse") {
  ptth::HelloOptions options;
  options.variables = {"listen_host=*", "listen_port=80"};
  run_all(*ptth::make_reverse_profile(ptth::test::hello_spec(options, ptth::reverse_hello()), {}),
          {kRequestEnd, yes("reverse") + kMagic});
}
