// Workers that ask by extended CONNECT (RFC 8441), which the test plays frame by frame.

#include "tests/gateway/outer_session.h"
#include "tests/integration/dev_gateway_stage.h"
#include "tests/support/http2_frames.h"
#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kOrigin = "/.well-known/ptth/https%3A%2F%2Fapp.example/";

using Pairs = ptth::HeaderFields;

Pairs hello(const std::string& path = kOrigin, const Pairs& fields = {{"alpn", "h2"}},
            const std::string& protocol = "ptth") {
  Pairs all{{":method", "CONNECT"},
            {":protocol", protocol},
            {":scheme", "https"},
            {":authority", "gw.test"},
            {":path", path}};
  all.insert(all.end(), fields.begin(), fields.end());
  return all;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// What came of one stream.
struct Heard {
  Pairs fields;
  std::string data;
  bool ended = false;
  std::optional<uint32_t> reset;
  uint32_t credit = 0;

  [[nodiscard]] std::string field(const std::string& name) const {
    std::string found;
    for (const auto& [key, value] : fields)
      if (key == name) found += value;
    return found;
  }
};

struct Fixture : OuterSession::Listener {
  virtual ~Fixture() = default;

  std::optional<int> next_hello_fault() override { return std::exchange(fault, std::nullopt); }

  void on_channel_opened(OuterSession&, const HelloVerdict& verdict,
                         std::unique_ptr<ByteStream> stream) override {
    verdicts.push_back(verdict);
    if (dispatcher != nullptr) {
      WorkerSession::Options options;
      options.profile = WorkerProfile::kPtthConnect;
      options.channel = verdict.channel;
      dispatcher->add_worker(std::move(stream), std::move(options));
      return;
    }
    stream->set_listener(&listeners.emplace_back());
    channels.push_back(std::move(stream));
  }

  void on_channel_refused(OuterSession&, const HelloVerdict& verdict) override {
    verdicts.push_back(verdict);
  }

  void on_outer_ended(OuterSession&) override {
    loop.retire(std::move(outer));
    ended = true;
  }

  void begin(OuterSession::Options options = {}) {
    if (options.rules.profile == WorkerProfile::kPtth) {
      options.rules.profile = WorkerProfile::kPtthConnect;
    }
    outer = nullptr;
    wire = {};
    ended = false;
    verdicts.clear();
    begun = 0;
    reader = std::make_unique<FrameReader>();
    heard.clear();
    outer =
        std::make_unique<OuterSession>(loop, test::make_scripted_stream(wire), std::move(options),
                                       static_cast<OuterSession::Listener&>(*this));
    wire.say(kMagic);
    write(kFrameSettings, 0, 0, {});
    say(kFrameSettings, kFlagAck, 0, {});
  }

  // Without a turn of the loop behind it.
  void write(uint8_t type, uint8_t flags, int32_t stream_id, Bytes payload) const {
    wire.say(test::as_text(make_frame(type, flags, stream_id, payload)));
  }

  void say(uint8_t type, uint8_t flags, int32_t stream_id, Bytes payload) {
    write(type, flags, stream_id, payload);
    loop.turn();
  }

  void data(int32_t stream_id, const std::string& text, uint8_t flags = 0) {
    say(kFrameData, flags, stream_id, test::as_bytes(text));
  }

  // The stream that it asks on.
  int32_t ask(const Pairs& fields, uint8_t flags = 0) {
    const int32_t id = 2 * begun++ + 1;
    say(kFrameHeaders, flags | kFlagEndHeaders, id, encode_fields(fields));
    return id;
  }

  Heard& on(int32_t stream_id) {
    loop.turn();
    for (const TestFrame& frame : reader->read(test::as_bytes(std::exchange(wire.written, {})))) {
      Heard& stream = heard[frame.stream_id];
      if (frame.type == kFrameHeaders) stream.fields = frame.fields;
      if (frame.type == kFrameData) stream.data += test::as_text(frame.payload);
      if (frame.type == kFrameReset) stream.reset = frame.number_at(0);
      if (frame.type == kFrameWindowUpdate) stream.credit += frame.number_at(0);
      if (frame.type == kFrameGoaway) last_stream = frame.number_at(0);
      if (frame.type == kFrameSettings && !frame.payload.empty()) settings = frame.payload;
      stream.ended = stream.ended || (frame.type <= kFrameHeaders && frame.ends_stream());
    }
    return heard[stream_id];
  }

  // The no to a hello, which is the same in the answer and for the log.
  std::string no_to(const Pairs& fields, const std::string& status, uint8_t flags = 0) {
    const size_t before = verdicts.size();
    const Heard& answer = on(ask(fields, flags));
    REQUIRE(verdicts.size() == before + 1);
    CHECK(answer.field(":status") == status);
    CHECK(answer.ended);
    CHECK(answer.data == verdicts.back().text + "\n");
    CHECK(std::to_string(verdicts.back().status) == status);
    if (flags == 0) CHECK(answer.reset == 0U);
    return verdicts.back().text;
  }

  [[nodiscard]] uint32_t setting(uint16_t id) const {
    for (size_t at = 0; at + 6 <= settings.size(); at += 6) {
      const auto byte = [&](size_t index) { return uint32_t{settings[at + index]}; };
      if (byte(0) * 256 + byte(1) == id) {
        return (byte(2) << 24U) + (byte(3) << 16U) + (byte(4) << 8U) + byte(5);
      }
    }
    return 0;
  }

  Loop loop{ClockMode::kManual};
  test::Wire wire;
  std::vector<HelloVerdict> verdicts;
  std::deque<test::RecordingListener> listeners;
  std::vector<std::unique_ptr<ByteStream>> channels;
  std::optional<int> fault;
  Dispatcher* dispatcher = nullptr;
  bool ended = false;
  int32_t begun = 0;
  std::unique_ptr<FrameReader> reader;
  std::map<int32_t, Heard> heard;
  std::vector<uint8_t> settings;
  std::optional<uint32_t> last_stream;
  std::unique_ptr<OuterSession> outer;
};

OuterSession::Options reverse_options() {
  OuterSession::Options options;
  options.rules.profile = WorkerProfile::kReverseConnect;
  return options;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "CONNECT: the settings allow it, and say for how many channels") {
  OuterSession::Options options;
  options.channels_max = 7;
  begin(std::move(options));
  on(0);
  CHECK(setting(8) == 1);
  CHECK(setting(3) == 7);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: a yes names the channel in the field of its draft") {
  begin();
  Heard answer = on(ask(hello()));
  CHECK(answer.fields == Pairs{{":status", "200"}, {"alpn", "h2"}});
  CHECK_FALSE(answer.ended);
  CHECK(verdicts.back().text == "https://app.example");
  answer = on(ask(hello(kOrigin, {{"alpn", "http%2F1.1"}}, "PTTH")));
  CHECK(answer.fields == Pairs{{":status", "200"}, {"alpn", "http%2F1.1"}});
  CHECK(verdicts.back().channel == Channel::kHttp1);
  begin(reverse_options());
  answer = on(ask(hello("/any", {}, "reverse")));
  CHECK(answer.fields == Pairs{{":status", "200"}, {"selected-alpn", "h2"}});
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: each rule has its own no, in the answer and for the log") {
  OuterSession::Options options;
  options.rules.origins.allowed = {parse_registration("https://app.example")};
  options.rules.credentials.headers = {{"x-key", Secret(std::string("1"))}};
  options.hello_bytes_max = 1000;
  begin(std::move(options));
  const Pairs right{{"alpn", "h2"}, {"x-key", "1"}};
  const auto with = [](const Pairs& fields) { return hello(kOrigin, fields); };
  CHECK(on(ask(with(right))).field(":status") == "200");

  const Pairs get{{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}};
  CHECK(no_to(get, "405", kFlagEndStream) ==
        "the method is GET and not CONNECT (draft-kazuho-ptth-ptth)");
  CHECK(on(2 * begun - 1).field("allow") == "CONNECT");
  CHECK(contains(no_to({{":method", "CONNECT"}, {":authority", "a:1"}}, "400"),
                 "a CONNECT without :protocol asks for a proxy"));
  CHECK(contains(no_to(hello(kOrigin, right, "websocket"), "501"),
                 "the :protocol is websocket and not ptth"));
  CHECK(contains(no_to(with({{"x-key", "1"}}), "400"), "ALPN is missing"));
  CHECK(contains(no_to(with({{"alpn", "http/1.1"}, {"x-key", "1"}}), "400"), "RFC 7639"));
  CHECK(contains(no_to(hello("/elsewhere", right), "404"), "does not begin with"));
  CHECK(contains(no_to(hello("/.well-known/ptth/https%3A%2F%2Fb.example/", right), "403"),
                 "may not register https://b.example"));
  CHECK(contains(no_to(with({{"alpn", "h2"}}), "401"), "the field x-key is missing"));
  CHECK(contains(on(2 * begun - 1).field("www-authenticate"), "Header realm="));
  CHECK(contains(no_to(with({{"alpn", "h2"}, {"x-key", "1"}, {"content-length", "3"}}), "400"),
                 "there is a body"));
  CHECK(contains(no_to(with(right), "400", kFlagEndStream), "the stream ends with the hello"));
  CHECK(contains(no_to(with({{"alpn", "h2"}, {"x-more", std::string(1000, 'x')}}), "431"),
                 "more than 1000 bytes"));
  // None of them has hurt the first.
  CHECK(channels.size() == 1);
  CHECK_FALSE(listeners.front().failure);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: what nghttp2 resets is told, too") {
  begin();
  Pairs wrong = hello();
  wrong[0].second = "GET";
  CHECK(on(ask(wrong)).reset == 1U);
  REQUIRE(verdicts.size() == 1);
  CHECK(contains(verdicts.back().text, "RFC 8441 section 4"));
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: a worker that does not wait for the answer is refused") {
  begin();
  write(kFrameHeaders, kFlagEndHeaders, 1, encode_fields(hello()));
  data(1, "PRI");
  CHECK(on(1).field(":status") == "400");
  CHECK(contains(verdicts.back().text, "something was sent behind the hello"));
}

TEST_CASE_FIXTURE(Fixture,
                  "CONNECT: faults hit one hello, and not the next one of its connection") {
  begin();
  fault = 204;
  Heard answer = on(ask(hello()));
  CHECK(answer.fields == Pairs{{":status", "204"}});
  CHECK(answer.ended);
  fault = 307;
  CHECK(on(ask(hello())).field("location") == "https://gw.test" + kOrigin);
  CHECK(on(ask(hello())).field(":status") == "200");
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: channels of one connection carry bytes of their own") {
  begin();
  const int32_t one = ask(hello());
  const int32_t other = ask(hello());
  REQUIRE(channels.size() == 2);
  data(one, "first");
  data(other, "second");
  data(one, " more");
  CHECK(listeners[0].received == "first more");
  CHECK(listeners[1].received == "second");
  channels[1]->write(test::as_bytes("to the second"));
  channels[0]->write(test::as_bytes("to the first"));
  CHECK(on(one).data == "to the first");
  CHECK(on(other).data == "to the second");
  CHECK(listeners[0].sent == 1);

  say(kFrameReset, 0, one, big_endian(8));
  REQUIRE(listeners[0].failure);
  CHECK(contains(listeners[0].failure->detail, "CANCEL"));
  data(other, "!");
  CHECK(listeners[1].received == "second!");
  // Its place is free for the next one.
  channels[0] = nullptr;
  ask(hello());
  CHECK(channels.size() == 3);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: a channel that is not read stops its worker, and no other") {
  OuterSession::Options options;
  options.channel_window = 10'000;
  begin(std::move(options));
  const int32_t stalled = ask(hello());
  const int32_t other = ask(hello());
  channels[0]->pause_reading();
  data(stalled, std::string(10'000, 'a'));
  for (int round = 0; round < 10; ++round) {
    data(other, std::string(10'000, 'b'));
    CHECK(on(other).credit == static_cast<uint32_t>(round + 1) * 10'000);
  }
  CHECK(listeners[1].received.size() == 100'000);
  CHECK(listeners[0].received.empty());
  CHECK(on(stalled).credit == 0);
  channels[0]->resume_reading();
  CHECK(on(stalled).credit == 10'000);
  CHECK(listeners[0].received == std::string(10'000, 'a'));
  channels[0]->pause_reading();
  data(stalled, std::string(10'001, 'a'));
  CHECK(on(stalled).reset == 3U);  // FLOW_CONTROL_ERROR.
  CHECK(listeners[0].failure);
  CHECK_FALSE(listeners[1].failure);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: no more is sent than the worker takes") {
  begin();
  const int32_t id = ask(hello());
  channels[0]->write(test::as_bytes(std::string(100'000, 'x')));
  CHECK(on(id).data.size() == 65'535);
  CHECK(channels[0]->unsent_bytes() == 100'000 - 65'535);
  channels[0]->shutdown();
  say(kFrameWindowUpdate, 0, id, big_endian(1 << 20));
  say(kFrameWindowUpdate, 0, 0, big_endian(1 << 20));
  CHECK(on(id).data.size() == 100'000);
  CHECK(on(id).ended);
  CHECK(channels[0]->unsent_bytes() == 0);
  // The other direction goes on.
  data(id, "the last", kFlagEndStream);
  CHECK(listeners[0].received == "the last");
  CHECK(listeners[0].ends == 1);
  CHECK_FALSE(listeners[0].failure);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: a channel that goes in the middle is cancelled") {
  begin();
  const int32_t id = ask(hello());
  channels.clear();
  CHECK(on(id).reset == 8U);
  data(id, "on its way");
  CHECK_FALSE(ended);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: the end of the connection ends its channels") {
  begin();
  ask(hello());
  const int32_t other = ask(hello());
  data(other, "", kFlagEndStream);
  write(kFrameData, 0, 1, test::as_bytes("read before the end"));
  wire.end();
  CHECK(ended);
  CHECK(listeners[0].received == "read before the end");
  REQUIRE(listeners[0].failure);
  CHECK(listeners[1].ends == 1);
  loop.turn();
  channels[0]->write(test::as_bytes("into the void"));
  channels.clear();
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: GOAWAY, and the end behind the last channel") {
  begin();
  const int32_t id = ask(hello());
  outer->refuse_hellos();
  CHECK(contains(no_to(hello(), "503"), "this gateway is stopping"));
  outer->leave();
  on(0);
  REQUIRE(last_stream);
  CHECK(*last_stream == 3);
  CHECK_FALSE(wire.shut_down);
  data(id, "still", kFlagEndStream);
  CHECK(listeners[0].received == "still");
  channels[0]->shutdown();
  on(0);
  CHECK(wire.shut_down);
  wire.end();
  CHECK(ended);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: a connection without a channel is left") {
  begin();
  SUBCASE("nothing was asked for") {
    loop.advance(Milliseconds(10'000));
    REQUIRE(verdicts.size() == 1);
    CHECK(verdicts.back().status == 408);
  }
  SUBCASE("the last one has gone") {
    ask(hello());
    loop.advance(Milliseconds(60'000));
    CHECK(verdicts.size() == 1);
    channels.clear();
    loop.advance(Milliseconds(10'000));
    CHECK(verdicts.size() == 2);
  }
  on(0);
  CHECK(last_stream);
  CHECK(wire.shut_down);
  CHECK_FALSE(ended);
  loop.advance(Milliseconds(2'000));
  CHECK(ended);
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: what is no HTTP/2 is told") {
  begin();
  outer = nullptr;
  wire = {};
  outer = std::make_unique<OuterSession>(loop, test::make_scripted_stream(wire),
                                         OuterSession::Options{},
                                         static_cast<OuterSession::Listener&>(*this));
  wire.say("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
  CHECK(ended);
  REQUIRE(verdicts.size() == 1);
  CHECK(contains(verdicts.back().text, "client magic"));
}

TEST_CASE_FIXTURE(Fixture, "CONNECT: requests go to both channels of a connection") {
  Log log(Stage::quiet());
  Dispatcher workers(loop, log, {});
  dispatcher = &workers;
  begin();
  const Pairs http1{{"alpn", "http%2F1.1"}};
  const int32_t one = ask(hello(kOrigin, http1));
  const int32_t other = ask(hello(kOrigin, http1));
  REQUIRE(workers.workers_attached() == 2);
  User first(loop);
  User second(loop);
  first.ask(workers, "/1");
  second.ask(workers, "/2");
  CHECK(on(one).data.starts_with("GET /1 HTTP/1.1\r\n"));
  CHECK(on(other).data.starts_with("GET /2 HTTP/1.1\r\n"));
  data(other, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
  CHECK(second.body == "second");
  CHECK_FALSE(first.ended());
  say(kFrameReset, 0, one, big_endian(2));
  CHECK(workers.workers_attached() == 1);
  // A GET may go to the other one.
  CHECK(contains(on(other).data, "GET /1 HTTP/1.1\r\n"));
  data(other, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
  CHECK(first.body == "first");
}

}  // namespace ptth::dev
