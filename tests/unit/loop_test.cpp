#include "common/loop.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

using ptth::ClockMode;
using ptth::EndOfTurn;
using ptth::Loop;
using ptth::Milliseconds;
using ptth::Timer;

TEST_CASE("timers fire in the order of their deadlines, each at its own time") {
  Loop loop(ClockMode::kManual);
  std::vector<int> fired;
  Timer late(loop, [&] { fired.push_back(2); });
  Timer early(loop, [&] { fired.push_back(1); });
  late.start(Milliseconds(200));
  early.start(Milliseconds(100));
  loop.advance(Milliseconds(99));
  CHECK(fired.empty());
  loop.advance(Milliseconds(1));
  CHECK(fired == std::vector{1});
  loop.advance(Milliseconds(500));
  CHECK(fired == std::vector{1, 2});
}

TEST_CASE("a timer that is restarted later fires once, at the later time") {
  Loop loop(ClockMode::kManual);
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.start(Milliseconds(100));
  loop.advance(Milliseconds(50));
  timer.start(Milliseconds(100));
  loop.advance(Milliseconds(99));
  CHECK(fired == 0);
  loop.advance(Milliseconds(1));
  CHECK(fired == 1);
  loop.advance(Milliseconds(1000));
  CHECK(fired == 1);
}

TEST_CASE("a stopped or destroyed timer never fires") {
  Loop loop(ClockMode::kManual);
  int fired = 0;
  Timer stopped(loop, [&] { ++fired; });
  stopped.start(Milliseconds(10));
  stopped.stop();
  {
    Timer destroyed(loop, [&] { ++fired; });
    destroyed.start(Milliseconds(10));
  }
  loop.advance(Milliseconds(100));
  CHECK(fired == 0);
  stopped.start(Milliseconds(10));
  loop.advance(Milliseconds(10));
  CHECK(fired == 1);
}

TEST_CASE("a timer restarted to an earlier time fires at the earlier time") {
  Loop loop(ClockMode::kManual);
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.start(Milliseconds(1000));
  timer.start(Milliseconds(10));
  loop.advance(Milliseconds(10));
  CHECK(fired == 1);
}

TEST_CASE("end-of-turn work runs once however often it is scheduled, and may schedule more") {
  Loop loop(ClockMode::kManual);
  int second_runs = 0;
  int first_runs = 0;
  EndOfTurn second(loop, [&] { ++second_runs; });
  EndOfTurn first(loop, [&] {
    ++first_runs;
    second.schedule();
  });
  first.schedule();
  first.schedule();
  loop.turn();
  CHECK(first_runs == 1);
  CHECK(second_runs == 1);
  loop.turn();
  CHECK(first_runs == 1);
}

TEST_CASE("a retired object lives until the end of the turn") {
  Loop loop(ClockMode::kManual);
  bool alive = true;

  struct Probe {
    explicit Probe(bool& flag) : alive(flag) {}

    ~Probe() { alive = false; }

    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;
    Probe(Probe&&) = delete;
    Probe& operator=(Probe&&) = delete;
    bool& alive;
  };

  loop.retire(std::make_unique<Probe>(alive));
  CHECK(alive);
  loop.turn();
  CHECK_FALSE(alive);
}
