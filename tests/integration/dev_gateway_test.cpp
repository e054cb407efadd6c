#include "tests/gateway/http2_engine.h"
#include "tests/integration/dev_gateway_stage.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

constexpr size_t kWindow = size_t{256} * 1024;

}  // namespace

TEST_CASE("a request reaches the worker and its answer the user, in both profiles") {
  for (const WorkerProfile profile : {WorkerProfile::kHaproxy, WorkerProfile::kDirect}) {
    CAPTURE(to_string(profile));
    Stage stage;
    ScriptedWorker& worker = stage.add(profile);
    User user(stage.loop);
    user.ask(stage.dispatcher, "/a?b=c", BodyKind::kUnknown, "POST");
    REQUIRE(stage.until([&] { return worker.requests() == 1; }));
    ScriptedWorker::Request& request = worker.request(0);
    CHECK(request.id == 1);
    CHECK(request.fields.at(":method") == "POST");
    CHECK(request.fields.at(":path") == "/a?b=c");
    CHECK(request.fields.at(":authority") == "app.test");
    CHECK(request.fields.at("x-asked") == "yes");

    user.call->write_body(as_bytes("up"));
    FieldList trailers;
    trailers.add("x-sum", "1");
    user.call->end_body(trailers);
    REQUIRE(stage.until([&] { return request.ended; }));
    CHECK(request.body == "up");
    CHECK(request.trailers.at("x-sum") == "1");
    CHECK(user.taken == 2);

    worker.interim(1, 103, {{"link", "x"}});
    worker.head(1, 201, {{"x-answer", "1"}});
    worker.body(1, "down");
    worker.end(1, {{"x-end", "2"}});
    REQUIRE(stage.until([&] { return user.ended(); }));
    CHECK(user.complete);
    CHECK(user.interim == std::vector{103});
    CHECK(user.status == 201);
    CHECK(user.body == "down");
    CHECK(user.fields.find("x-answer") == "1");
    CHECK(user.fields.find("via") == "2 ptth-dev-gateway");
    CHECK(user.trailers.find("x-end") == "2");
  }
}

TEST_CASE("a worker is attached when its SETTINGS and its acknowledgement have come, not before") {
  using namespace std::literals;
  Stage stage;
  ScriptedWorker& worker = stage.connect(WorkerProfile::kDirect, WorkerProfile::kDirect, 100,
                                         ScriptedWorker::Hello::kNone);
  worker.write_raw("\0\0\0\4\0\0\0\0\0"sv);
  stage.settle();
  CHECK(stage.dispatcher.workers_attached() == 0);
  worker.write_raw("\0\0\0\4\1\0\0\0\0"sv);
  CHECK(stage.until([&] { return stage.dispatcher.workers_attached() == 1; }));
}

TEST_CASE("a worker that never says hello is let go of in time") {
  Stage stage;
  ScriptedWorker& worker = stage.connect(WorkerProfile::kHaproxy, WorkerProfile::kHaproxy, 100,
                                         ScriptedWorker::Hello::kNone);
  stage.settle();
  CHECK_FALSE(worker.connection_ended());
  stage.loop.advance(stage.session.attach_timeout);
  CHECK(stage.until([&] { return worker.connection_ended(); }));
}

TEST_CASE("a worker that uses the other preface dialect is not attached") {
  Stage stage;
  ScriptedWorker& silent_about_magic =
      stage.connect(WorkerProfile::kHaproxy, WorkerProfile::kDirect);
  CHECK(stage.until([&] { return silent_about_magic.connection_ended(); }));
  ScriptedWorker& with_magic = stage.connect(WorkerProfile::kDirect, WorkerProfile::kHaproxy);
  CHECK(stage.until([&] { return with_magic.connection_ended(); }));
  CHECK(stage.dispatcher.workers_attached() == 0);
}

TEST_CASE("each request goes to the worker with the fewest in flight") {
  Stage stage;
  ScriptedWorker& first = stage.add();
  ScriptedWorker& second = stage.add();
  std::vector<std::unique_ptr<User>> users;
  const auto ask = [&] {
    users.push_back(std::make_unique<User>(stage.loop));
    users.back()->ask(stage.dispatcher, "/");
    const size_t expected = users.size();
    REQUIRE(stage.until([&] { return first.requests() + second.requests() == expected; }));
  };
  for (int i = 0; i < 4; ++i)
    ask();
  CHECK(first.requests() == 2);
  CHECK(second.requests() == 2);
  // The second worker becomes idle, so both next requests are its.
  second.answer(second.request(0).id, 200);
  second.answer(second.request(1).id, 200);
  REQUIRE(stage.until([&] {
    return std::ranges::count_if(users, [](const auto& user) { return user->complete; }) == 2;
  }));
  ask();
  ask();
  CHECK(first.requests() == 2);
  CHECK(second.requests() == 4);
}

TEST_CASE(
    "requests above MAX_CONCURRENT_STREAMS wait, and the limit is followed while it changes") {
  Stage stage;
  ScriptedWorker& worker = stage.add(WorkerProfile::kDirect, 1);
  std::vector<std::unique_ptr<User>> users;
  for (int i = 0; i < 5; ++i) {
    users.push_back(std::make_unique<User>(stage.loop));
    users.back()->ask(stage.dispatcher, "/" + std::to_string(i));
  }
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  stage.settle();
  CHECK(worker.requests() == 1);

  worker.set_streams_max(3);
  REQUIRE(stage.until([&] { return worker.requests() == 3; }));
  stage.settle();
  CHECK(worker.requests() == 3);

  worker.set_streams_max(1);
  stage.settle();
  worker.answer(worker.request(0).id, 200);
  worker.answer(worker.request(1).id, 200);
  REQUIRE(stage.until([&] { return users[0]->complete && users[1]->complete; }));
  stage.settle();
  CHECK(worker.requests() == 3);
  worker.answer(worker.request(2).id, 200);
  REQUIRE(stage.until([&] { return worker.requests() == 4; }));
  CHECK(worker.request(3).fields.at(":path") == "/3");
  worker.answer(worker.request(3).id, 200);
  REQUIRE(stage.until([&] { return worker.requests() == 5; }));
}

TEST_CASE("a request for which no worker has room is answered with 503 when its time is up") {
  Stage stage;
  ScriptedWorker& worker = stage.add(WorkerProfile::kDirect, 1);
  User running(stage.loop);
  running.ask(stage.dispatcher, "/running");
  User waiting(stage.loop);
  waiting.ask(stage.dispatcher, "/waiting");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  stage.loop.advance(Milliseconds(4'999));
  CHECK_FALSE(waiting.ended());
  stage.loop.advance(Milliseconds(1));
  REQUIRE(waiting.complete);
  CHECK(waiting.status == 503);
  CHECK(waiting.fields.find("retry-after") == "1");
  CHECK(waiting.body.find("room") != std::string::npos);
  worker.answer(worker.request(0).id, 200);
  REQUIRE(stage.until([&] { return running.complete; }));
  stage.settle();
  CHECK(worker.requests() == 1);
}

TEST_CASE("a request that finds the queue full is answered with 503 at once") {
  Dispatcher::Options options;
  options.queue_length_max = 1;
  Stage stage(options);
  User waiting(stage.loop);
  waiting.ask(stage.dispatcher, "/");
  User refused(stage.loop);
  refused.ask(stage.dispatcher, "/");
  CHECK_FALSE(refused.ended());
  stage.loop.advance(Milliseconds(0));
  CHECK(refused.status == 503);
  CHECK_FALSE(waiting.ended());
}

TEST_CASE("a refused stream is sent to another worker, with its body from the beginning") {
  Stage stage;
  ScriptedWorker& first = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/", BodyKind::kUnknown, "POST");
  user.call->write_body(as_bytes("one "));
  REQUIRE(stage.until([&] { return first.requests() == 1 && first.request(0).body == "one "; }));
  CHECK(user.taken == 4);
  ScriptedWorker& second = stage.add();
  first.reset(first.request(0).id, NGHTTP2_REFUSED_STREAM);
  REQUIRE(stage.until([&] { return second.requests() == 1; }));
  user.call->write_body(as_bytes("two"));
  user.call->end_body({});
  REQUIRE(stage.until([&] { return second.request(0).ended; }));
  CHECK(second.request(0).body == "one two");
  // Credit for the same bytes is given once.
  CHECK(user.taken == 7);
  second.answer(second.request(0).id, 200, "done");
  REQUIRE(stage.until([&] { return user.complete; }));
  CHECK(user.body == "done");
  CHECK(first.requests() == 1);
}

TEST_CASE("a body that is too long to be kept is not sent again") {
  Stage stage;
  ScriptedWorker& first = stage.add();
  ScriptedWorker& second = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/", BodyKind::kUnknown, "POST");
  REQUIRE(stage.until([&] { return first.requests() == 1; }));
  const std::string part(200'000, 'x');
  for (size_t sent = part.size(); sent <= 600'000; sent += part.size()) {
    user.call->write_body(as_bytes(part));
    REQUIRE(stage.until([&] { return user.taken == sent; }));
  }
  first.reset(first.request(0).id, NGHTTP2_REFUSED_STREAM);
  REQUIRE(stage.until([&] { return user.ended(); }));
  CHECK(user.status == 503);
  CHECK(second.requests() == 0);
}

TEST_CASE("a request that every worker refuses ends with 503 after its last try") {
  Stage stage;
  ScriptedWorker& only = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  for (size_t tries = 1; tries <= 3; ++tries) {
    REQUIRE(stage.until([&] { return only.requests() == tries; }));
    CHECK_FALSE(user.ended());
    only.reset(only.request(tries - 1).id, NGHTTP2_REFUSED_STREAM);
    stage.settle();
    // There is no other worker, so the same one is asked again, but not at once.
    CHECK(only.requests() == tries);
    stage.loop.advance(Milliseconds(100));
  }
  REQUIRE(stage.until([&] { return user.ended(); }));
  CHECK(user.status == 503);
  CHECK(only.requests() == 3);
}

TEST_CASE("after GOAWAY what the worker has not seen goes elsewhere, and what it has is finished") {
  Stage stage;
  ScriptedWorker& leaving = stage.add();
  User seen(stage.loop);
  seen.ask(stage.dispatcher, "/seen");
  REQUIRE(stage.until([&] { return leaving.requests() == 1; }));
  User unseen(stage.loop);
  unseen.ask(stage.dispatcher, "/unseen");
  REQUIRE(stage.until([&] { return leaving.requests() == 2; }));
  ScriptedWorker& staying = stage.add();

  leaving.go_away(leaving.request(0).id);
  REQUIRE(stage.until([&] { return staying.requests() == 1; }));
  CHECK(staying.request(0).fields.at(":path") == "/unseen");
  CHECK_FALSE(leaving.connection_ended());
  User later(stage.loop);
  later.ask(stage.dispatcher, "/later");
  REQUIRE(stage.until([&] { return staying.requests() == 2; }));

  leaving.answer(leaving.request(0).id, 200, "finished");
  REQUIRE(stage.until([&] { return seen.complete; }));
  CHECK(seen.body == "finished");
  // Nothing is left to do there.
  CHECK(stage.until([&] { return leaving.connection_ended(); }));
  CHECK(leaving.requests() == 2);
}

TEST_CASE("a request whose worker is lost is not sent a second time") {
  Stage stage;
  ScriptedWorker& lost = stage.add();
  ScriptedWorker& other = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/", BodyKind::kUnknown, "POST");
  REQUIRE(stage.until([&] { return lost.requests() == 1; }));
  lost.close();
  REQUIRE(stage.until([&] { return user.ended(); }));
  CHECK(user.status == 502);
  stage.settle();
  CHECK(other.requests() == 0);
}

TEST_CASE("an answer that breaks off is a failure, never a clean end") {
  Stage stage;
  ScriptedWorker& worker = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  worker.head(1, 200);
  worker.body(1, "half");
  REQUIRE(stage.until([&] { return user.body == "half"; }));
  worker.reset(1, NGHTTP2_INTERNAL_ERROR);
  REQUIRE(stage.until([&] { return user.ended(); }));
  CHECK(user.failure.has_value());
}

TEST_CASE("a user that goes away cancels the stream") {
  Stage stage;
  ScriptedWorker& worker = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  user.call = nullptr;
  REQUIRE(stage.until([&] { return worker.request(0).closed.has_value(); }));
  CHECK(worker.request(0).closed == NGHTTP2_CANCEL);
}

TEST_CASE("an early answer ends the upload without an error") {
  Stage stage;
  ScriptedWorker& worker = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/", BodyKind::kUnknown, "POST");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  worker.answer(1, 403, "no");
  REQUIRE(stage.until([&] { return user.complete; }));
  CHECK(user.status == 403);
  REQUIRE(stage.until([&] { return worker.request(0).closed.has_value(); }));
  CHECK(worker.request(0).closed == NGHTTP2_NO_ERROR);
}

TEST_CASE("a user that does not read stops its worker at the window, and no other exchange") {
  Stage stage;
  ScriptedWorker& worker = stage.add();
  User slow(stage.loop);
  slow.ask(stage.dispatcher, "/slow");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  slow.call->pause_response();
  const std::string big(4 * kWindow, 'x');
  worker.head(1, 200);
  worker.body(1, big);
  worker.end(1);
  REQUIRE(stage.until([&] { return worker.stream_credit(1) == 0; }));

  User quick(stage.loop);
  quick.ask(stage.dispatcher, "/quick");
  REQUIRE(stage.until([&] { return worker.requests() == 2; }));
  worker.answer(3, 200, big);
  REQUIRE(stage.until([&] { return quick.complete; }));
  CHECK(quick.body.size() == big.size());
  CHECK(worker.stream_credit(1) == 0);
  CHECK(slow.body.empty());

  slow.call->resume_response();
  REQUIRE(stage.until([&] { return slow.complete; }));
  CHECK(slow.body == big);
}

TEST_CASE("an answer to HEAD, 204 and 304 has no body, whatever its length says") {
  Stage stage;
  ScriptedWorker& worker = stage.add();
  User head(stage.loop);
  head.ask(stage.dispatcher, "/", BodyKind::kNone, "HEAD");
  User empty(stage.loop);
  empty.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 2; }));
  worker.answer(1, 200, {}, {{"content-length", "12"}});
  worker.answer(3, 304);
  REQUIRE(stage.until([&] { return head.complete && empty.complete; }));
  CHECK(head.body_kind == BodyKind::kNone);
  CHECK(head.fields.find("content-length") == "12");
  CHECK(empty.body_kind == BodyKind::kNone);
}

TEST_CASE("a worker that answers no PING is given up") {
  Stage stage;
  ScriptedWorker& answering = stage.add();
  stage.loop.advance(stage.session.ping_after);
  REQUIRE(stage.until([&] { return answering.pings() == 1; }));
  stage.settle();
  stage.loop.advance(stage.session.ping_timeout);
  CHECK(stage.dispatcher.workers_attached() == 1);
  // Time passes without a turn in which an answer could be read.
  stage.loop.advance(stage.session.ping_after);
  stage.loop.advance(stage.session.ping_after + stage.session.ping_timeout);
  CHECK(stage.dispatcher.workers_attached() == 0);
}

TEST_CASE("leaving says GOAWAY, waits for what is in flight, and tells when no worker is left") {
  Stage stage;
  ScriptedWorker& worker = stage.add();
  User user(stage.loop);
  user.ask(stage.dispatcher, "/");
  REQUIRE(stage.until([&] { return worker.requests() == 1; }));
  bool empty = false;
  stage.dispatcher.leave([&] { empty = true; });
  REQUIRE(stage.until([&] { return worker.told_to_leave(); }));
  stage.settle();
  CHECK_FALSE(empty);
  worker.answer(1, 200, "last");
  REQUIRE(stage.until([&] { return worker.connection_ended(); }));
  CHECK(user.body == "last");
  worker.close();
  CHECK(stage.until([&] { return empty; }));
}

}  // namespace ptth::dev
