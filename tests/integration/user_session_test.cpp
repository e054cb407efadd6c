#include "agent/link/client_magic.h"
#include "tests/gateway/http2_engine.h"
#include "tests/gateway/toy_origin.h"
#include "tests/gateway/user_front.h"
#include "tests/integration/dev_gateway_stage.h"
#include "tests/support/recording_listener.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

// Keeps its listener waiting until told, and counts what was cancelled.
class HeldOrigin final : public Origin {
 public:
  std::unique_ptr<OriginCall> start(const RequestHead& /*head*/, ResponseListener& listener,
                                    WorkSlot /*slot*/) override {
    ++started;
    waiting = &listener;
    return std::make_unique<Call>(*this);
  }

  int started = 0;
  int gone = 0;
  size_t body_bytes = 0;
  ResponseListener* waiting = nullptr;

 private:
  struct Call final : OriginCall {
    explicit Call(HeldOrigin& of) : origin(of) {}

    ~Call() override { ++origin.gone; }

    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Call(Call&&) = delete;
    Call& operator=(Call&&) = delete;

    void write_body(Bytes bytes) override { origin.body_bytes += bytes.size(); }

    void end_body(const FieldList& /*trailers*/) override {}

    void pause_response() override {}

    void resume_response() override {}

    HeldOrigin& origin;
  };
};

// A user's connection to the toy origin (or another), as bytes.
struct Visit {
  explicit Visit(Origin* other = nullptr)
      : log(Stage::quiet()),
        toy(loop, log),
        front(loop, other != nullptr ? *other : toy, options()) {
    test::SocketPair pair = test::tcp_pair(loop);
    user = std::move(pair.connected);
    front.add({std::move(pair.accepted), {}, {}});
    user->set_listener(&heard);
  }

  ~Visit() {
    if (user != nullptr) user->set_listener(nullptr);
  }

  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  Visit(Visit&&) = delete;
  Visit& operator=(Visit&&) = delete;

  static UserSession::Options options() {
    UserSession::Options options;
    options.via = "test";
    return options;
  }

  void say(std::string_view text) const { user->write(as_bytes(text)); }

  bool hears(std::string_view text) {
    return until([&] { return heard.received.find(text) != std::string::npos; });
  }

  bool hears_end() {
    return until([&] { return heard.ends > 0; });
  }

  template <class Predicate>
  bool until(Predicate&& predicate) {
    return test::run_until(loop, predicate);
  }

  Loop loop{ClockMode::kManual};
  Log log;
  ToyOrigin toy;
  UserFront front;
  std::unique_ptr<ByteStream> user;
  test::RecordingListener heard;
};

constexpr std::string_view kEndOfHead = "\r\n\r\n";

std::string body_of_answer(const std::string& answer) {
  return answer.substr(answer.find(kEndOfHead) + kEndOfHead.size());
}

}  // namespace

TEST_CASE("HTTP/1.1: requests sent ahead are answered one after the other") {
  Visit visit;
  visit.say(
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /status?code=418 HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /status?code=204 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  REQUIRE(visit.hears_end());
  const std::string& all = visit.heard.received;
  const size_t first = all.find("HTTP/1.1 200");
  const size_t second = all.find("HTTP/1.1 418");
  const size_t third = all.find("HTTP/1.1 204");
  CHECK(first == 0);
  CHECK(all.find("hello from ptth-dev-origin\n", first) < second);
  CHECK(second < third);
  CHECK(all.ends_with(kEndOfHead));
}

TEST_CASE("HTTP/1.1: a body in chunks comes back in chunks, with its trailers") {
  Visit visit;
  visit.say(
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nfirst\r\n");
  REQUIRE(visit.hears("5\r\nfirst\r\n"));
  visit.say("6\r\nsecond\r\n0\r\nx-sum: 11\r\n\r\n");
  CHECK(visit.hears("6\r\nsecond\r\n0\r\nx-sum: 11\r\n\r\n"));
}

TEST_CASE("HTTP/1.1: 103 comes before the answer, and not to HTTP/1.0") {
  Visit visit;
  visit.say("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(visit.hears("103 came first"));
  CHECK(visit.heard.received.starts_with("HTTP/1.1 103"));
  Visit old;
  old.say("GET /hints HTTP/1.0\r\n\r\n");
  REQUIRE(old.hears_end());
  CHECK(old.heard.received.find(" 103") == std::string::npos);
}

TEST_CASE("HTTP/1.1: a user who waits for 100 is told to go on") {
  Visit visit;
  visit.say("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  REQUIRE(visit.hears("HTTP/1.1 100"));
  visit.say("body");
  CHECK(visit.hears("\r\n\r\nbody"));
}

TEST_CASE("HTTP/1.0: a body of unknown length ends with the connection") {
  Visit visit;
  visit.say("GET /trailers HTTP/1.0\r\n\r\n");
  REQUIRE(visit.hears_end());
  CHECK(body_of_answer(visit.heard.received) == "a trailer follows\n");
}

TEST_CASE("HTTP/1.1: nonsense is answered with 400 and the end of the connection") {
  Visit visit;
  visit.say("GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
  REQUIRE(visit.hears_end());
  CHECK(visit.heard.received.starts_with("HTTP/1.1 400"));
}

TEST_CASE("HTTP/1.1: an answer before the request was read whole ends the connection") {
  Visit visit;
  visit.say("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
  REQUIRE(visit.hears_end());
  CHECK(visit.heard.received.ends_with("answered before the request was read\n"));
}

TEST_CASE("HTTP/1.1: a user that does not read holds the answer back, and gets all of it later") {
  Visit visit;
  visit.user->pause_reading();
  constexpr size_t kSize = 20'000'000;
  visit.say("GET /bytes?n=20000000 HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int turn = 0; turn < 50; ++turn)
    visit.loop.turn();
  visit.user->resume_reading();
  const auto complete = [&] {
    return visit.heard.received.size() > kSize &&
           body_of_answer(visit.heard.received).size() >= kSize;
  };
  REQUIRE(visit.until(complete));
  const std::string body = body_of_answer(visit.heard.received);
  REQUIRE(body.size() == kSize);
  for (size_t at = 0; at < kSize; at += 64) {
    if (!body.substr(at, 64).starts_with(std::to_string(at) + ".")) FAIL("wrong line at ", at);
  }
}

TEST_CASE("HTTP/1.1: a long request sent ahead waits outside, and is read on when its turn comes") {
  Visit visit;
  const std::string body(1'000'000, 'x');
  visit.say(
      "GET /slow?ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  visit.say(body);
  for (int turn = 0; turn < 50; ++turn)
    visit.loop.turn();
  visit.loop.advance(Milliseconds(1'000));
  CHECK(visit.until([&] { return visit.heard.received.ends_with(body); }));
}

TEST_CASE("HTTP/1.1: an upload that the origin does not take is not read without bound") {
  HeldOrigin origin;
  Visit visit(&origin);
  visit.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
  const std::string part(1'000'000, 'x');
  for (int i = 0; i < 100; ++i)
    visit.say(part);
  REQUIRE(visit.until([&] { return origin.body_bytes >= visit.options().upload_bytes_max; }));
  for (int turn = 0; turn < 50; ++turn)
    visit.loop.turn();
  // One read may go beyond the mark.
  CHECK(origin.body_bytes <= visit.options().upload_bytes_max + Loop::kReadBufferSize);
}

TEST_CASE("a user that goes away cancels what it asked for") {
  using namespace std::literals;
  const std::string http2 = std::string(kClientMagicText) + std::string("\0\0\0\4\0\0\0\0\0"s) +
                            // :method GET, :scheme http, :path /, :authority a.
                            "\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a"s;
  for (const std::string& request : {"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"s, http2}) {
    HeldOrigin origin;
    Visit visit(&origin);
    visit.say(request);
    REQUIRE(visit.until([&] { return origin.started == 1; }));
    visit.user->shutdown();
    CHECK(visit.until([&] { return origin.gone == 1; }));
  }
}

TEST_CASE("a user that breaks off in the middle of an endless answer ends it") {
  Visit visit;
  visit.say("GET /bytes?n=1000000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(visit.hears("\r\n0...."));
  // Now the rest of the answer waits for a user that does not read, and so gets a reset.
  visit.user->pause_reading();
  for (int turn = 0; turn < 50; ++turn)
    visit.loop.turn();
  visit.user->set_listener(nullptr);
  visit.user.reset();
  bool empty = false;
  visit.front.leave(Milliseconds(60'000), [&] { empty = true; });
  CHECK(visit.until([&] { return empty; }));
}

TEST_CASE("leaving closes idle connections, and lets requests finish") {
  Visit idle;
  bool empty = false;
  idle.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(idle.hears("hello from"));
  idle.front.leave(Milliseconds(10'000), [&] { empty = true; });
  CHECK(idle.hears_end());
  idle.user->shutdown();
  CHECK(idle.until([&] { return empty; }));

  HeldOrigin origin;
  Visit busy(&origin);
  busy.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(busy.until([&] { return origin.started == 1; }));
  empty = false;
  busy.front.leave(Milliseconds(10'000), [&] { empty = true; });
  for (int turn = 0; turn < 20; ++turn)
    busy.loop.turn();
  CHECK_FALSE(empty);
  ResponseHead head;
  head.status = 200;
  origin.waiting->on_response_head(head);
  origin.waiting->on_response_end({});
  REQUIRE(busy.hears_end());
  CHECK(busy.heard.received.find("close") != std::string::npos);
  busy.user->shutdown();
  CHECK(busy.until([&] { return empty; }));
}

namespace {

// An HTTP/2 user: the client that the gateway uses towards workers, on a connection to a UserFront.
struct Http2Visit final : private WorkerSession::Listener {
  Http2Visit() : log(Stage::quiet()), toy(loop, log), front(loop, toy, Visit::options()) {
    test::SocketPair pair = test::tcp_pair(loop);
    front.add({std::move(pair.accepted), {}, {}});
    WorkerSession::Options options;
    options.profile = WorkerProfile::kDirect;
    session = WorkerSession::start(loop, std::move(pair.connected), options, *this);
  }

  // The session as an Origin, so that a User can ask it.
  struct Far final : Origin {
    explicit Far(Http2Visit& visit_of_it) : visit(visit_of_it) {}

    std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                      WorkSlot /*slot*/) override {
      return visit.session->call(head, {}, listener);
    }

    Http2Visit& visit;
  };

  void on_worker_attached(WorkerSession& /*worker*/) override { attached = true; }

  void on_worker_limit(WorkerSession& /*worker*/) override {}

  void on_worker_room(WorkerSession& /*worker*/) override {}

  void on_worker_leaving(WorkerSession& /*worker*/) override { leaving = true; }

  void on_worker_ended(WorkerSession& /*worker*/, const Error& /*error*/) override { ended = true; }

  template <class Predicate>
  bool until(Predicate&& predicate) {
    return test::run_until(loop, predicate);
  }

  Loop loop{ClockMode::kManual};
  Log log;
  ToyOrigin toy;
  UserFront front;
  bool attached = false;
  bool leaving = false;
  bool ended = false;
  std::unique_ptr<WorkerSession> session;
  Far far{*this};
};

}  // namespace

TEST_CASE("HTTP/2: bodies, interim answers and trailers pass in both directions") {
  Http2Visit visit;
  REQUIRE(visit.until([&] { return visit.attached; }));
  User echo(visit.loop);
  echo.ask(visit.far, "/echo", BodyKind::kUnknown, "POST");
  echo.call->write_body(as_bytes("there and back"));
  FieldList trailers;
  trailers.add("x-sum", "14");
  echo.call->end_body(trailers);
  User hints(visit.loop);
  hints.ask(visit.far, "/hints");
  User head(visit.loop);
  head.ask(visit.far, "/hello", BodyKind::kNone, "HEAD");
  User request(visit.loop);
  request.ask(visit.far, "/request");
  REQUIRE(visit.until(
      [&] { return echo.complete && hints.complete && head.complete && request.complete; }));
  CHECK(echo.body == "there and back");
  CHECK(echo.trailers.find("x-sum") == "14");
  CHECK(hints.interim == std::vector{103});
  CHECK(head.fields.find("content-length") == "27");
  CHECK(head.body.empty());
  CHECK(request.body.find("via: 2 test") != std::string::npos);
  CHECK(request.body.starts_with("GET http app.test /request\n"));
}

TEST_CASE("HTTP/2: a large body arrives whole, also through a pause") {
  Http2Visit visit;
  REQUIRE(visit.until([&] { return visit.attached; }));
  User user(visit.loop);
  user.ask(visit.far, "/bytes?n=10000000");
  user.call->pause_response();
  for (int turn = 0; turn < 50; ++turn)
    visit.loop.turn();
  CHECK(user.body.empty());
  user.call->resume_response();
  REQUIRE(visit.until([&] { return user.complete; }));
  CHECK(user.body.size() == 10'000'000);
}

TEST_CASE("HTTP/2: leaving says GOAWAY and lets requests finish") {
  Http2Visit visit;
  REQUIRE(visit.until([&] { return visit.attached; }));
  User user(visit.loop);
  user.ask(visit.far, "/slow?ms=1000");
  REQUIRE(visit.until([&] { return visit.session->in_flight() == 1; }));
  for (int turn = 0; turn < 20; ++turn)
    visit.loop.turn();
  bool empty = false;
  visit.front.leave(Milliseconds(10'000), [&] { empty = true; });
  REQUIRE(visit.until([&] { return visit.leaving; }));
  CHECK_FALSE(user.ended());
  visit.loop.advance(Milliseconds(1'000));
  REQUIRE(visit.until([&] { return user.complete; }));
  CHECK(user.body == "that took a while\n");
  CHECK(visit.until([&] { return empty && visit.ended; }));
}

TEST_CASE("the toy origin counts requests by their id") {
  Http2Visit visit;
  REQUIRE(visit.until([&] { return visit.attached; }));
  for (const char* path : {"/hello?id=a", "/hello?id=b", "/hello?id=a"}) {
    User user(visit.loop);
    user.ask(visit.far, path);
    REQUIRE(visit.until([&] { return user.complete; }));
  }
  User count(visit.loop);
  count.ask(visit.far, "/count?of=a");
  REQUIRE(visit.until([&] { return count.complete; }));
  CHECK(count.body == "2\n");
}

}  // namespace ptth::dev
