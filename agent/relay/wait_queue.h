#pragma once

// WaitQueue: in which order requests that wait are served. The most urgent first (RFC 9218); within
// an urgency the gateways in turn; within a gateway the oldest first. It only orders: limits, ages
// and what waits are the admission's.

#include "common/priority.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace ptth {

class WaitQueue {
 public:
  // A base of what waits; in at most one queue at a time. Nobody owns anything here.
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    Entry(Entry&&) = delete;
    Entry& operator=(Entry&&) = delete;

    [[nodiscard]] uint8_t urgency() const { return urgency_; }

    [[nodiscard]] uint64_t since_ms() const { return since_ms_; }

   protected:
    ~Entry() = default;

   private:
    friend class WaitQueue;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    size_t gateway_ = 0;
    uint64_t since_ms_ = 0;
    uint8_t urgency_ = 0;
  };

  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;
  WaitQueue(WaitQueue&&) = delete;
  WaitQueue& operator=(WaitQueue&&) = delete;

  [[nodiscard]] size_t size() const { return size_; }

  [[nodiscard]] bool empty() const { return size_ == 0; }

  [[nodiscard]] bool has_none_of(uint8_t urgency) const { return levels_[urgency].turns.empty(); }

  // gateway: a small number, the same for all of its requests. now_ms never falls.
  void push(Entry& entry, uint8_t urgency, size_t gateway, uint64_t now_ms);

  // Whose turn it is, among the gateways of which may_start(size_t gateway) is true; null: none.
  template <class MayStart>
  [[nodiscard]] Entry* next(MayStart may_start) const {
    for (const Level& level : levels_) {
      for (const size_t gateway : level.turns) {
        if (may_start(gateway)) return level.lines[gateway].first;
      }
    }
    return nullptr;
  }

  // Takes it out; its gateway's next turn comes after the others'.
  void take(Entry& entry);
  void remove(Entry& entry);
  // As if it had had that urgency from the start.
  void move_to(Entry& entry, uint8_t urgency);
  // Who should give way to a request of that urgency and gateway in a queue that is full: the
  // newest of the gateway that has most, among the least urgent. Null: the request itself.
  [[nodiscard]] Entry* victim_for(uint8_t urgency, size_t gateway) const;

 private:
  struct Line {
    Entry* first = nullptr;
    Entry* last = nullptr;
    size_t size = 0;
  };

  struct Level {
    std::vector<Line> lines;   // By gateway.
    std::deque<size_t> turns;  // The gateways whose lines are not empty.
  };

  [[nodiscard]] Line& line_of(const Entry& entry);
  void link(Entry& entry);
  void unlink(Entry& entry);

  std::array<Level, Priority::kUrgencies> levels_;
  size_t size_ = 0;
};

}  // namespace ptth
