#include "tests/gateway/unused_worker.h"
#include "tests/support/scripted_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

namespace ptth::dev {

namespace {

struct Fixture : UnusedWorker::Listener {
  virtual ~Fixture() = default;

  void on_worker_usable(UnusedWorker&, std::unique_ptr<ByteStream> given) override {
    usable = std::move(given);
    loop.retire(std::move(worker));
  }

  void on_worker_lapsed(UnusedWorker&, std::unique_ptr<ByteStream> given) override {
    lapsed = std::move(given);
    loop.retire(std::move(worker));
  }

  void on_worker_lost(UnusedWorker&, const Error& error) override {
    lost = error.detail;
    loop.retire(std::move(worker));
  }

  void envoy() {
    UnusedWorker::Options options;
    options.ping_interval = Milliseconds(2000);
    worker = UnusedWorker::envoy(loop, test::make_scripted_stream(wire), nullptr,
                                 std::move(options), *this);
    loop.turn();
  }

  void poll() {
    UnusedWorker::Options options;
    options.profile = WorkerProfile::kPtth10;
    options.wait_max = Milliseconds(500);
    worker = UnusedWorker::poll(loop, test::make_scripted_stream(wire), "yes", std::move(options),
                                *this);
    loop.turn();
  }

  // To the next ping.
  std::string ping() {
    loop.advance(Milliseconds(2200));
    return std::exchange(wire.written, {});
  }

  Loop loop{ClockMode::kManual};
  test::Wire wire;
  std::unique_ptr<UnusedWorker> worker;
  std::unique_ptr<ByteStream> usable;
  std::unique_ptr<ByteStream> lapsed;
  std::optional<std::string> lost;
};

bool contains(const std::optional<std::string>& text, const std::string& part) {
  return text && text->find(part) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "envoy: a connection that waits is pinged, and used when it is needed") {
  envoy();
  CHECK(wire.written.empty());
  CHECK(ping() == "RPING");
  wire.say("RPI");
  wire.say("NG");
  CHECK(ping() == "RPING");
  wire.say("RPING");
  worker->use();
  loop.turn();
  CHECK(usable != nullptr);
  CHECK(wire.written.empty());
}

TEST_CASE_FIXTURE(Fixture, "envoy: an echo that is owed comes before what follows") {
  envoy();
  CHECK(ping() == "RPING");
  worker->use();
  loop.turn();
  CHECK(usable == nullptr);
  wire.say("RPING");
  loop.turn();
  CHECK(usable != nullptr);
}

TEST_CASE_FIXTURE(Fixture,
                  "envoy: three pings without an echo end the connection, one late does not") {
  envoy();
  CHECK(ping() == "RPING");
  CHECK(ping() == "RPING");
  wire.say("RPINGRPING");
  CHECK(ping() == "RPING");
  CHECK(ping() == "RPING");
  CHECK(!lost);
  CHECK(ping() == "RPING");
  loop.advance(Milliseconds(1000));
  CHECK(contains(lost, "did not echo RPING"));
}

TEST_CASE_FIXTURE(Fixture, "envoy: whatever else the worker says ends the connection") {
  envoy();
  SUBCASE("unasked") {
    wire.say("RPING");
    CHECK(contains(lost, "no echo"));
  }
  SUBCASE("a different echo") {
    ping();
    wire.say("RPONG");
    CHECK(contains(lost, "something else"));
  }
  SUBCASE("more than the echo") {
    ping();
    wire.say("RPINGR");
    CHECK(contains(lost, "no echo"));
  }
  SUBCASE("the end") {
    wire.end();
    CHECK(contains(lost, "closed an unused connection"));
  }
}

TEST_CASE_FIXTURE(Fixture, "ptth-1.0: a worker that waits gets its answer with the first request") {
  poll();
  loop.advance(Milliseconds(400));
  CHECK(wire.written.empty());
  worker->use();
  loop.turn();
  CHECK(wire.written == "yes");
  CHECK(usable != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "ptth-1.0: 204 when nothing came in its time") {
  poll();
  loop.advance(Milliseconds(500));
  CHECK(wire.written == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(lapsed != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "ptth-1.0: a worker that speaks while it waits is let go of") {
  poll();
  wire.say("GET");
  CHECK(contains(lost, "behind the hello (draft-lentczner-rhttp)"));
}

}  // namespace ptth::dev
