#pragma once

// A dispatcher of the development gateway between users and workers that a test plays, on real
// sockets.

#include "tests/gateway/dispatcher.h"
#include "tests/support/run_until.h"
#include "tests/support/scripted_worker.h"
#include "tests/support/sockets.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace ptth::dev {

using test::ScriptedWorker;

// What a user session would be: starts one request, keeps its answer.
class User final : public ResponseListener {
 public:
  explicit User(Loop& loop) : loop_(loop) {}

  ~User() { call = nullptr; }

  User(const User&) = delete;
  User& operator=(const User&) = delete;
  User(User&&) = delete;
  User& operator=(User&&) = delete;

  void ask(Origin& origin, std::string path, BodyKind kind = BodyKind::kNone,
           std::string method = "GET") {
    RequestHead head;
    head.method = std::move(method);
    head.scheme = "http";
    head.authority = "app.test";
    head.path = std::move(path);
    head.body = kind;
    head.fields.add("x-asked", "yes");
    call = origin.start(head, *this, {});
  }

  void on_interim_response(const ResponseHead& head) override { interim.push_back(head.status); }

  void on_response_head(const ResponseHead& head) override {
    CHECK_INVARIANT(!status && !ended());
    status = head.status;
    fields = head.fields;
    body_kind = head.body;
  }

  void on_response_body(Bytes bytes) override {
    CHECK_INVARIANT(status && !ended());
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  void on_response_end(const FieldList& list) override {
    CHECK_INVARIANT(status && !ended());
    trailers = list;
    loop_.retire(std::move(call));
    complete = true;
  }

  void on_response_failed(const Error& error) override {
    CHECK_INVARIANT(!ended());
    loop_.retire(std::move(call));
    failure = error;
  }

  void on_request_body_taken(size_t count) override { taken += count; }

  [[nodiscard]] bool ended() const { return complete || failure.has_value(); }

  std::unique_ptr<OriginCall> call;
  std::vector<int> interim;
  std::optional<int> status;
  BodyKind body_kind = BodyKind::kNone;
  FieldList fields;
  std::string body;
  FieldList trailers;
  bool complete = false;
  std::optional<Error> failure;
  size_t taken = 0;

 private:
  Loop& loop_;
};

// A dispatcher with workers on real sockets. Time stands still, so that only advance() ends a wait.
struct Stage {
  explicit Stage(const Dispatcher::Options& options = {})
      : log(quiet()), dispatcher(loop, log, options) {}

  static Log::Options quiet() {
    Log::Options options;
    options.level = LogLevel::kOff;
    return options;
  }

  ScriptedWorker& add(WorkerProfile profile = WorkerProfile::kDirect, uint32_t streams_max = 100) {
    const size_t before = dispatcher.workers_attached();
    ScriptedWorker& worker = connect(profile, profile, streams_max);
    REQUIRE(until([&] { return dispatcher.workers_attached() > before; }));
    return worker;
  }

  // Without waiting for it to be attached.
  ScriptedWorker& connect(WorkerProfile expected, WorkerProfile played, uint32_t streams_max = 100,
                          ScriptedWorker::Hello hello = ScriptedWorker::Hello::kRight) {
    test::SocketPair pair = test::tcp_pair(loop);
    WorkerSession::Options options = session;
    options.profile = expected;
    dispatcher.add_worker(std::move(pair.accepted), std::move(options));
    workers.push_back(std::make_unique<ScriptedWorker>(loop, std::move(pair.connected), played,
                                                       streams_max, hello));
    return *workers.back();
  }

  template <class Predicate>
  bool until(Predicate&& predicate) {
    return test::run_until(loop, predicate);
  }

  // Some turns in which nothing is expected to happen: what could happen is already in the sockets.
  void settle() {
    for (int turn = 0; turn < 50; ++turn)
      loop.turn();
  }

  Loop loop{ClockMode::kManual};
  Log log;
  WorkerSession::Options session;
  Dispatcher dispatcher;
  std::vector<std::unique_ptr<ScriptedWorker>> workers;
};

}  // namespace ptth::dev
