#include "common/loop.h"

#include <memory>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using ptth::ByteQueue;
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

TEST_CASE("a queue that was given back is taken again with its memory, by who needs that much") {
  Loop loop(ClockMode::kManual);
  ByteQueue small = loop.take_queue(100);
  ByteQueue large = loop.take_queue(100'000);
  CHECK(small.capacity() == 0);
  (void)small.grow(100);
  (void)large.grow(100'000);
  const size_t small_bytes = small.capacity();
  const size_t large_bytes = large.capacity();
  loop.give_queue(std::move(large));
  loop.give_queue(std::move(small));
  CHECK(loop.take_queue(100'000).capacity() == large_bytes);
  CHECK(loop.take_queue(100).capacity() == small_bytes);
  CHECK(loop.take_queue(100).capacity() == 0);
}

TEST_CASE("queues that are given back are kept up to a bound of memory") {
  Loop loop(ClockMode::kManual);
  constexpr size_t kMebibyte = size_t{1024} * 1024;
  for (int count = 0; count < 32; ++count) {
    ByteQueue queue;
    (void)queue.grow(kMebibyte);
    loop.give_queue(std::move(queue));
  }
  size_t kept_bytes = 0;
  while (const size_t capacity = loop.take_queue(kMebibyte).capacity())
    kept_bytes += capacity;
  CHECK(kept_bytes > 0);
  CHECK(kept_bytes <= 4 * kMebibyte);
}

TEST_CASE("a turn ends early when it has brought many bytes") {
  Loop loop(ClockMode::kManual);
  int runs = 0;
  EndOfTurn work(loop, [&] { ++runs; });
  work.schedule();
  loop.note_input(Loop::kReadBufferSize - 1);
  CHECK(runs == 0);
  loop.note_input(1);
  CHECK(runs == 1);
  work.schedule();
  loop.note_input(1);
  CHECK(runs == 1);
  loop.turn();
  CHECK(runs == 2);
}
