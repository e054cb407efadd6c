#include "agent/relay/wait_queue.h"

#include "agent/relay/codel.h"

#include <deque>
#include <set>
#include <string>

#include <doctest/doctest.h>

namespace ptth {

namespace {

struct Request final : WaitQueue::Entry {
  explicit Request(char letter) : name(letter) {}

  char name;
};

// Requests by letter.
struct Line {
  Request& push(char name, uint8_t urgency, size_t gateway, uint64_t now_ms = 1) {
    requests.emplace_back(name);
    queue.push(requests.back(), urgency, gateway, now_ms);
    return requests.back();
  }

  // Only those of gateways that may start.
  std::string served(std::set<size_t> held_back = {}) {
    std::string names;
    const auto may_start = [&](size_t gateway) { return !held_back.contains(gateway); };
    while (WaitQueue::Entry* const entry = queue.next(may_start)) {
      queue.take(*entry);
      names += static_cast<Request*>(entry)->name;
    }
    return names;
  }

  [[nodiscard]] char victim(uint8_t urgency, size_t gateway) const {
    const WaitQueue::Entry* entry = queue.victim_for(urgency, gateway);
    return entry == nullptr ? '-' : static_cast<const Request*>(entry)->name;
  }

  std::deque<Request> requests;
  WaitQueue queue;
};

}  // namespace

TEST_CASE("the most urgent request is served first, and the oldest of those") {
  Line line;
  line.push('a', 3, 0);
  line.push('b', 7, 0);
  line.push('c', 0, 0);
  line.push('d', 3, 0);
  line.push('e', 0, 0);
  CHECK(line.queue.size() == 5);
  CHECK(line.served() == "ceadb");
}

TEST_CASE("who waits for room of its own holds up no other gateway, nor loses its place") {
  Line line;
  line.push('a', 0, 0);
  line.push('b', 3, 1);
  line.push('c', 3, 0);
  line.push('d', 3, 1);
  CHECK(line.served({0}) == "bd");
  CHECK(line.served() == "ac");
}

TEST_CASE("gateways take turns within an urgency, however much one of them sends") {
  Line line;
  for (const char name : std::string("abcd"))
    line.push(name, 3, 0);
  line.push('x', 3, 1);
  line.push('y', 3, 1);
  line.push('z', 3, 2);
  CHECK(line.served() == "axzbycd");
}

TEST_CASE("a request that is taken out leaves the order of the others as it is") {
  Line line;
  line.push('a', 3, 0);
  Request& b = line.push('b', 3, 0);
  line.push('c', 3, 0);
  Request& x = line.push('x', 3, 1);
  line.push('d', 3, 0);
  line.queue.remove(b);
  line.queue.remove(x);
  CHECK(line.served() == "acd");
  CHECK(line.queue.empty());
}

TEST_CASE("a request that changes its urgency keeps its age") {
  Line line;
  line.push('a', 1, 0, 10);
  Request& b = line.push('b', 5, 0, 20);
  line.push('c', 1, 0, 30);
  line.queue.move_to(b, 1);
  CHECK(b.urgency() == 1);
  CHECK(line.served() == "abc");
}

TEST_CASE("in a full queue the least urgent gives way, and the gateway that has most of it") {
  Line line;
  line.push('a', 3, 0);
  line.push('b', 3, 0);
  line.push('c', 3, 0);
  line.push('d', 3, 1);
  CHECK(line.victim(2, 1) == 'c');
  CHECK(line.victim(3, 1) == 'c');
  CHECK(line.victim(3, 2) == 'c');
  CHECK(line.victim(3, 0) == '-');
  CHECK(line.victim(4, 1) == '-');
  line.push('e', 6, 1);
  CHECK(line.victim(3, 0) == 'e');
}

TEST_CASE("of equals in a full queue nobody gives way") {
  Line line;
  line.push('a', 3, 0);
  line.push('b', 3, 1);
  CHECK(line.victim(3, 0) == '-');
  CHECK(line.victim(3, 1) == '-');
  CHECK(line.victim(3, 2) == '-');
}

TEST_CASE("controlled delay lets a burst pass") {
  CoDel codel({Milliseconds(50), Milliseconds(500)});
  // All that came at once waits long, but for less than the interval.
  for (uint64_t now = 1000; now < 1490; now += 10)
    CHECK_FALSE(codel.drops(Milliseconds(now - 900), now, false));
  CHECK_FALSE(codel.drops(Milliseconds(20), 1495, false));
  CHECK_FALSE(codel.drops(Milliseconds(400), 1600, false));
}

TEST_CASE("controlled delay drops from a queue that stands, more and more often") {
  CoDel codel({Milliseconds(50), Milliseconds(500)});
  std::string drops;
  uint64_t last = 0;
  for (uint64_t now = 1000; now < 4000; now += 10) {
    if (!codel.drops(Milliseconds(200), now, false)) continue;
    drops += std::to_string(last == 0 ? now : now - last) + " ";
    last = now;
  }
  // After an interval, and then after interval / sqrt(n).
  CHECK(drops == "1500 500 360 290 250 220 200 190 180 160 ");
  CHECK_FALSE(codel.drops(Milliseconds(49), 4000, false));
  CHECK_FALSE(codel.drops(Milliseconds(200), 4010, false));
}

TEST_CASE("the last request of a queue is never dropped for its wait") {
  CoDel codel({Milliseconds(50), Milliseconds(500)});
  for (uint64_t now = 1000; now < 4000; now += 10)
    CHECK_FALSE(codel.drops(Milliseconds(200), now, true));
}

TEST_CASE("controlled delay is off with a target of nothing") {
  CoDel codel({Milliseconds(0), Milliseconds(500)});
  for (uint64_t now = 1000; now < 4000; now += 10)
    CHECK_FALSE(codel.drops(Milliseconds(900), now, false));
}

}  // namespace ptth
