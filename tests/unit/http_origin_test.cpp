#include "agent/origin/http_origin.h"

#include "tests/support/fake_network.h"
#include "tests/support/memory_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::Bytes;
using ptth::ErrorKind;
using ptth::FieldList;
using ptth::HttpOriginOptions;
using ptth::Milliseconds;
using ptth::RequestHead;
using ptth::ResponseHead;

namespace {

// One exchange's side of a call, as it came.
struct Answer final : public ptth::ResponseListener {
  void on_interim_response(const ResponseHead& head) override { interim.push_back(head.status); }

  void on_response_head(const ResponseHead& head) override { status = head.status; }

  void on_response_body(Bytes bytes) override { body.append(bytes.begin(), bytes.end()); }

  void on_response_end(const FieldList& trailers) override {
    ++terminal_events;
    ended = true;
    if (const auto value = trailers.find("digest")) digest = *value;
  }

  void on_response_failed(const ptth::Error& error) override {
    ++terminal_events;
    failure = error;
  }

  void on_request_body_taken(size_t count) override { taken += count; }

  std::vector<int> interim;
  int status = 0;
  std::string body;
  std::string digest;
  bool ended = false;
  int terminal_events = 0;
  std::optional<ptth::Error> failure;
  size_t taken = 0;
};

RequestHead request(const std::string& method, BodyKind body = BodyKind::kNone) {
  RequestHead head;
  head.method = method;
  head.scheme = "https";
  head.authority = "app.example";
  head.path = "/x";
  head.body = body;
  return head;
}

// An origin whose connections are in the test's hands.
class Stage {
 public:
  explicit Stage(const HttpOriginOptions& options = {})
      : loop(ptth::ClockMode::kManual),
        network(loop),
        origin(ptth::make_http_origin(loop, network, metrics, options)) {
    // The first attempt is the readiness probe.
    loop.advance(Milliseconds(0));
    network.connect(0);
    loop.turn();
  }

  struct Started {
    RequestHead head;
    Answer answer;
    std::unique_ptr<ptth::OriginCall> call;
  };

  std::unique_ptr<Started> start(RequestHead head) {
    auto started = std::make_unique<Started>();
    started->head = std::move(head);
    started->call = origin->start(started->head, started->answer, ptth::WorkSlot(in_use));
    if (started->head.body == BodyKind::kNone) started->call->end_body({});
    loop.turn();
    return started;
  }

  // The latest attempt to connect succeeds; the stream stays usable until the origin closes it.
  ptth::MemoryStream& connect() {
    auto stream = std::make_unique<ptth::MemoryStream>();
    ptth::MemoryStream& borrowed = *stream;
    network.connect(network.attempted().size() - 1, std::move(stream));
    loop.turn();
    return borrowed;
  }

  void say(ptth::MemoryStream& stream, const std::string& text) {
    stream.deliver({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    loop.turn();
  }

  static std::string heard(ptth::MemoryStream& stream) {
    const std::vector<uint8_t> written = stream.take_written();
    return {written.begin(), written.end()};
  }

  ptth::Loop loop;
  ptth::test::FakeNetwork network;
  ptth::Metrics metrics;
  ptth::WorkCount in_use;
  std::unique_ptr<ptth::HttpOrigin> origin;
};

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}  // namespace

TEST_CASE("a request is written once and its connection kept for the next") {
  Stage stage;
  auto first = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  CHECK(Stage::heard(stream) == "GET /x HTTP/1.1\r\nhost: app.example\r\n\r\n");
  stage.say(stream, kOk);
  CHECK(first->answer.status == 200);
  CHECK(first->answer.body == "ok");
  CHECK(first->answer.ended);
  CHECK(stage.in_use.in_hand() == 0);
  const size_t attempts = stage.network.attempted().size();
  auto second = stage.start(request("GET"));
  CHECK(stage.network.attempted().size() == attempts);
  CHECK_FALSE(Stage::heard(stream).empty());
  stage.say(stream, kOk);
  CHECK(second->answer.ended);
}

TEST_CASE("a body of unknown length is sent in chunks, with its trailers") {
  Stage stage;
  auto post = stage.start(request("POST", BodyKind::kUnknown));
  const std::string part = "hello";
  post->call->write_body({reinterpret_cast<const uint8_t*>(part.data()), part.size()});
  ptth::MemoryStream& stream = stage.connect();
  FieldList trailers;
  trailers.add("digest", "abc");
  post->call->end_body(trailers);
  const std::string sent = Stage::heard(stream);
  CHECK(sent.find("transfer-encoding: chunked\r\n") != std::string::npos);
  CHECK(sent.find("\r\n\r\n5\r\nhello\r\n0\r\ndigest: abc\r\n\r\n") != std::string::npos);
}

TEST_CASE("credit comes when the socket has taken the bytes, not before") {
  Stage stage;
  auto post = stage.start(request("POST", BodyKind::kUnknown));
  ptth::MemoryStream& stream = stage.connect();
  stream.set_unsent(1'000'000);
  const std::string part(1000, 'x');
  post->call->write_body({reinterpret_cast<const uint8_t*>(part.data()), part.size()});
  stream.set_unsent(1001);
  CHECK(post->answer.taken == 0);
  stream.set_unsent(400);
  CHECK(post->answer.taken == 600);
  stream.set_unsent(0);
  CHECK(post->answer.taken == 1000);
}

TEST_CASE("an idempotent request is sent again when a kept connection was gone, a POST never") {
  for (const char* method : {"GET", "POST"}) {
    CAPTURE(std::string(method));
    Stage stage;
    auto warm_up = stage.start(request("GET"));
    ptth::MemoryStream& first = stage.connect();
    stage.say(first, kOk);
    const size_t attempts = stage.network.attempted().size();
    auto again = stage.start(request(method));
    first.deliver_end();
    stage.loop.turn();
    if (std::string(method) == "POST") {
      REQUIRE(again->answer.failure.has_value());
      CHECK(again->answer.failure->kind == ErrorKind::kClosed);
      CHECK(stage.network.attempted().size() == attempts);
      continue;
    }
    CHECK_FALSE(again->answer.failure.has_value());
    REQUIRE(stage.network.attempted().size() == attempts + 1);
    ptth::MemoryStream& second = stage.connect();
    CHECK_FALSE(Stage::heard(second).empty());
    // Only once: the second connection is new, so its end is the end.
    second.deliver_end();
    stage.loop.turn();
    CHECK(again->answer.failure.has_value());
    CHECK(again->answer.terminal_events == 1);
  }
}

TEST_CASE("a new connection that ends without an answer is a failure, whatever the method") {
  Stage stage;
  auto get = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  stream.deliver_end();
  stage.loop.turn();
  REQUIRE(get->answer.failure.has_value());
  CHECK(get->answer.failure->kind == ErrorKind::kClosed);
  CHECK(stage.in_use.in_hand() == 0);
}

TEST_CASE("a connection with bytes behind the answer is not used again") {
  Stage stage;
  auto first = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  stage.say(stream, std::string(kOk) + "HTTP/1.1 200 OK\r\n");
  CHECK(first->answer.ended);
  const size_t attempts = stage.network.attempted().size();
  auto second = stage.start(request("GET"));
  CHECK(stage.network.attempted().size() == attempts + 1);
}

TEST_CASE("a resting connection on which bytes arrive is closed") {
  Stage stage;
  auto first = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  stage.say(stream, kOk);
  stage.say(stream, kOk);
  const size_t attempts = stage.network.attempted().size();
  auto second = stage.start(request("GET"));
  CHECK(stage.network.attempted().size() == attempts + 1);
  CHECK_FALSE(second->answer.ended);
}

TEST_CASE("Connection: close, HTTP/1.0 and an unfinished upload end the connection") {
  for (const char* answer : {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                             "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", kOk}) {
    Stage stage;
    const bool unfinished = answer == kOk;
    auto first = stage.start(request("POST", unfinished ? BodyKind::kUnknown : BodyKind::kNone));
    ptth::MemoryStream& stream = stage.connect();
    stage.say(stream, answer);
    CHECK(first->answer.ended);
    const size_t attempts = stage.network.attempted().size();
    auto second = stage.start(request("GET"));
    CHECK(stage.network.attempted().size() == attempts + 1);
  }
}

TEST_CASE("interim answers pass up to the limit") {
  Stage stage;
  auto get = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  for (int number = 0; number < 8; ++number)
    stage.say(stream, "HTTP/1.1 103 Early\r\n\r\n");
  CHECK(get->answer.interim.size() == 8);
  CHECK_FALSE(get->answer.failure.has_value());
  stage.say(stream, "HTTP/1.1 103 Early\r\n\r\n");
  REQUIRE(get->answer.failure.has_value());
  CHECK(get->answer.failure->kind == ErrorKind::kProtocol);
}

TEST_CASE("a cancelled call keeps its slot until the origin has closed too") {
  Stage stage;
  auto get = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  get->call.reset();
  CHECK(stream.is_shut_down());
  CHECK(stage.in_use.in_hand() == 1);
  stage.say(stream, kOk);
  CHECK(get->answer.status == 0);
  stream.deliver_end();
  stage.loop.turn();
  CHECK(stage.in_use.in_hand() == 0);
}

TEST_CASE("an origin that never closes a cancelled call gets no more than the linger time") {
  Stage stage;
  auto get = stage.start(request("GET"));
  stage.connect();
  get->call.reset();
  CHECK(stage.in_use.in_hand() == 1);
  stage.loop.advance(Milliseconds(1'000));
  CHECK(stage.in_use.in_hand() == 0);
}

TEST_CASE("an origin that goes on to send a cancelled answer is cut off") {
  ptth::HttpOriginOptions options;
  options.cancel_linger_bytes = 1000;
  Stage stage(options);
  auto get = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  get->call.reset();
  stage.say(stream, std::string(1000, 'a'));
  CHECK(stage.in_use.in_hand() == 1);
  stage.say(stream, "a");
  stage.loop.turn();
  CHECK(stage.in_use.in_hand() == 0);
  CHECK(stage.metrics.expose().find("ptth_origin_cut_off_total 1\n") != std::string::npos);
}

TEST_CASE("a call cancelled before there is a connection leaves nothing behind") {
  Stage stage;
  auto get = stage.start(request("GET"));
  get->call.reset();
  stage.loop.turn();
  CHECK(stage.in_use.in_hand() == 0);
  CHECK(stage.network.connecting() == 0);
}

TEST_CASE("an origin that is just starting is dialled again until the connect time is over") {
  Stage stage;
  auto get = stage.start(request("GET"));
  stage.network.refuse(stage.network.attempted().size() - 1, "connection refused");
  stage.loop.turn();
  const size_t attempts = stage.network.attempted().size();
  stage.loop.advance(Milliseconds(20));
  CHECK(stage.network.attempted().size() == attempts + 1);
  ptth::MemoryStream& stream = stage.connect();
  stage.say(stream, kOk);
  CHECK(get->answer.ended);

  auto late = stage.start(request("POST"));
  stream.deliver_end();
  stage.loop.turn();
  auto hopeless = stage.start(request("GET"));
  for (int tenth = 0; tenth < 25; ++tenth) {
    stage.network.refuse(stage.network.attempted().size() - 1, "connection refused");
    stage.loop.advance(Milliseconds(100));
  }
  REQUIRE(hopeless->answer.failure.has_value());
  CHECK(hopeless->answer.failure->kind == ErrorKind::kUnreachable);
  CHECK(stage.in_use.in_hand() == 0);
}

TEST_CASE("silence of the origin is a timeout, silence that we asked for is not") {
  HttpOriginOptions options;
  options.first_byte_timeout = Milliseconds(5'000);
  options.progress_timeout = Milliseconds(3'000);
  Stage stage(options);
  auto get = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  stage.loop.advance(Milliseconds(4'900));
  CHECK_FALSE(get->answer.failure.has_value());
  stage.say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
  get->call->pause_response();
  stage.loop.advance(Milliseconds(60'000));
  CHECK_FALSE(get->answer.failure.has_value());
  get->call->resume_response();
  stage.loop.advance(Milliseconds(3'000));
  REQUIRE(get->answer.failure.has_value());
  CHECK(get->answer.failure->kind == ErrorKind::kTimeout);
}

TEST_CASE("a limit on connections makes calls wait for one that is free") {
  HttpOriginOptions options;
  options.connections_max = 1;
  Stage stage(options);
  auto first = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  const size_t attempts = stage.network.attempted().size();
  auto second = stage.start(request("GET"));
  CHECK(stage.network.attempted().size() == attempts);
  static_cast<void>(Stage::heard(stream));
  stage.say(stream, kOk);
  CHECK_FALSE(Stage::heard(stream).empty());
  stage.say(stream, kOk);
  CHECK(second->answer.ended);
}

TEST_CASE("Host can be overridden") {
  HttpOriginOptions options;
  options.host_override = "internal.example";
  Stage stage(options);
  auto get = stage.start(request("GET"));
  ptth::MemoryStream& stream = stage.connect();
  CHECK(Stage::heard(stream).find("host: internal.example\r\n") != std::string::npos);
}

TEST_CASE("a request that names no authority gets the origin's own name as Host") {
  Stage stage;
  RequestHead head = request("GET");
  head.authority.clear();
  auto get = stage.start(std::move(head));
  ptth::MemoryStream& stream = stage.connect();
  CHECK(Stage::heard(stream).find("host: 127.0.0.1:80\r\n") != std::string::npos);
}
