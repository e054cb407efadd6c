#include "tests/integration/dev_gateway_stage.h"
#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

// A dispatcher whose workers speak HTTP/1.1; the test writes their side by hand.
struct Http1Stage {
  explicit Http1Stage(const Dispatcher::Options& options = {})
      : log(Stage::quiet()), dispatcher(loop, log, options) {}

  test::Wire& add() {
    wires.push_back(std::make_unique<test::Wire>());
    WorkerSession::Options options;
    options.profile = WorkerProfile::kDirect;
    options.channel = Channel::kHttp1;
    options.stream_window = 1000;
    dispatcher.add_worker(test::make_scripted_stream(*wires.back()), std::move(options));
    loop.turn();
    return *wires.back();
  }

  // What the gateway says next.
  std::string said(test::Wire& wire) {
    loop.turn();
    return std::exchange(wire.written, {});
  }

  void answer(test::Wire& wire, const std::string& text) {
    wire.say(text);
    loop.turn();
  }

  // What the loop still has to let go of writes to them.
  std::vector<std::unique_ptr<test::Wire>> wires;
  Loop loop{ClockMode::kManual};
  Log log;
  Dispatcher dispatcher;
};

const std::string kFine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

}  // namespace

TEST_CASE("HTTP/1.1: one request at a time, the next one on the same connection") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  CHECK(stage.dispatcher.workers_attached() == 1);
  User first(stage.loop);
  User second(stage.loop);
  first.ask(stage.dispatcher, "/1");
  second.ask(stage.dispatcher, "/2");
  CHECK(stage.said(wire) == "GET /1 HTTP/1.1\r\nhost: app.test\r\nx-asked: yes\r\n\r\n");
  stage.answer(wire, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + kFine);
  CHECK(first.interim == std::vector<int>{103});
  CHECK(first.complete);
  CHECK(first.body == "fine");
  CHECK(stage.said(wire).starts_with("GET /2 HTTP/1.1\r\n"));
  stage.answer(wire, "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(second.complete);
  CHECK(second.body_kind == BodyKind::kNone);
}

TEST_CASE("HTTP/1.1: bodies of unknown length and trailers, both ways") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/", BodyKind::kUnknown, "POST");
  stage.loop.turn();
  user.call->write_body(test::as_bytes("hello"));
  FieldList trailers;
  trailers.add("x-sum", "1");
  user.call->end_body(trailers);
  const std::string said = stage.said(wire);
  CHECK(said.find("transfer-encoding: chunked\r\n") != std::string::npos);
  CHECK(said.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"));
  CHECK(user.taken == 5);
  stage.answer(wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n");
  CHECK(!user.ended());
  stage.answer(wire, "X-Sum: 2\r\n\r\n");
  CHECK(user.complete);
  CHECK(user.body == "ok");
  CHECK(user.trailers.find("x-sum") == "2");
}

TEST_CASE("HTTP/1.1: HEAD has no body, whatever its length says") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/", BodyKind::kNone, "HEAD");
  stage.said(wire);
  stage.answer(wire, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
  CHECK(user.complete);
  CHECK(stage.dispatcher.workers_attached() == 1);
}

TEST_CASE("HTTP/1.1: what was not asked for ends the connection") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  SUBCASE("before any request") {
    stage.answer(wire, kFine);
  }
  SUBCASE("behind an answer") {
    User user(stage.loop);
    user.ask(stage.dispatcher, "/");
    stage.said(wire);
    stage.answer(wire, kFine + kFine);
    CHECK(user.complete);
    CHECK(user.body == "fine");
  }
  CHECK(stage.dispatcher.workers_attached() == 0);
  CHECK(wire.destroyed);
}

TEST_CASE("HTTP/1.1: an answer that could be read in two ways is none") {
  for (const char* answer :
       {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 4\n\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"}) {
    CAPTURE(answer);
    Http1Stage stage;
    test::Wire& wire = stage.add();
    User user(stage.loop);
    user.ask(stage.dispatcher, "/");
    stage.said(wire);
    stage.answer(wire, answer);
    CHECK(user.status == 502);
    CHECK(wire.destroyed);
  }
}

TEST_CASE("HTTP/1.1: an answer ends as its framing says, or breaks off") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  stage.said(wire);
  SUBCASE("with the connection") {
    stage.answer(wire, "HTTP/1.1 200 OK\r\n\r\nall of it");
    CHECK(!user.ended());
    wire.end();
    CHECK(user.complete);
    CHECK(user.body == "all of it");
  }
  SUBCASE("before its length") {
    stage.answer(wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    wire.end();
    CHECK(user.failure.has_value());
  }
  SUBCASE("before its last chunk") {
    stage.answer(wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    wire.end();
    CHECK(user.failure.has_value());
  }
  CHECK(stage.dispatcher.workers_attached() == 0);
}

TEST_CASE("HTTP/1.1: Connection: close is heeded") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  stage.said(wire);
  stage.answer(wire, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast");
  CHECK(user.body == "last");
  CHECK(wire.shut_down);
  CHECK(stage.dispatcher.workers_attached() == 0);
  wire.end();
  stage.loop.turn();
  CHECK(wire.destroyed);
}

TEST_CASE("HTTP/1.1: a request that crosses the worker's leaving goes elsewhere if it may") {
  Http1Stage stage;
  test::Wire& first = stage.add();
  User user(stage.loop);
  const auto ask = [&](const char* method) {
    user.ask(stage.dispatcher, "/", BodyKind::kNone, method);
    stage.said(first);
    first.end();
    stage.loop.turn();
  };
  SUBCASE("GET") {
    test::Wire& second = stage.add();
    ask("GET");
    CHECK(!user.ended());
    CHECK(stage.said(second).starts_with("GET / HTTP/1.1\r\n"));
  }
  SUBCASE("POST, which nobody may send twice") {
    ask("POST");
    CHECK(user.status == 502);
  }
}

TEST_CASE("HTTP/1.1: an early answer is delivered and its connection not used again") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/", BodyKind::kUnknown, "POST");
  stage.said(wire);
  stage.answer(wire, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  CHECK(user.status == 413);
  CHECK(user.complete);
  CHECK(wire.shut_down);
}

TEST_CASE("HTTP/1.1: a user that goes away ends the connection") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  stage.said(wire);
  user.call = nullptr;
  stage.loop.turn();
  CHECK(wire.destroyed);
}

TEST_CASE("HTTP/1.1: a user that does not read stops its worker") {
  Http1Stage stage;
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  stage.said(wire);
  user.call->pause_response();
  stage.answer(wire, "HTTP/1.1 200 OK\r\nContent-Length: 1500\r\n\r\n" + std::string(999, 'a'));
  CHECK(!wire.paused);
  stage.answer(wire, "b");
  CHECK(wire.paused);
  user.call->resume_response();
  stage.loop.turn();
  CHECK(!wire.paused);
  stage.answer(wire, std::string(500, 'c'));
  CHECK(user.complete);
  CHECK(user.body.size() == 1500);
}

TEST_CASE("HTTP/1.1: leaving closes what is idle at once, and the rest behind its answer") {
  Http1Stage stage;
  test::Wire& idle = stage.add();
  test::Wire& used = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  stage.loop.turn();
  const bool idle_is_used = !idle.written.empty();
  test::Wire& busy = idle_is_used ? idle : used;
  test::Wire& other = idle_is_used ? used : idle;
  bool empty = false;
  stage.dispatcher.leave([&] { empty = true; });
  stage.loop.turn();
  CHECK(other.shut_down);
  CHECK(!busy.shut_down);
  stage.answer(busy, kFine);
  CHECK(user.complete);
  CHECK(busy.shut_down);
  busy.end();
  other.end();
  stage.loop.turn();
  CHECK(empty);
}

TEST_CASE("HTTP/1.1: faults on purpose") {
  Dispatcher::Options options;
  Fault fault;
  SUBCASE("reset behind the request") {
    options.faults.reset_after = fault;
  }
  SUBCASE("reset in the answer") {
    fault.value = 2;
    options.faults.reset_after = fault;
  }
  SUBCASE("cut after so many bytes from the worker") {
    fault.value = 40;
    options.faults.cut_after = fault;
  }
  Http1Stage stage(options);
  test::Wire& wire = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  stage.said(wire);
  if (!user.ended()) stage.answer(wire, kFine);
  CHECK((user.failure.has_value() || user.status == 502));
  stage.loop.turn();
  CHECK(wire.destroyed);
}

}  // namespace ptth::dev
