#pragma once

// TurnShare: how much the links of one gateway may do in one round of the loop, together. What is
// beyond it waits for the next round, first come, first served, so that a gateway that floods
// delays the others by no more than its share of each round.

#include "common/loop.h"
#include "common/loop_rounds.h"
#include "common/metrics.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

namespace ptth {

struct TurnShareOptions {
  // Frames of HTTP/2 that are read, where a block of fields counts as one for each 128 bytes of it;
  // requests of HTTP/1.1.
  uint32_t frames = 128;
  size_t output_bytes = size_t{768} * 1024;  // That are written.

  [[nodiscard]] bool operator==(const TurnShareOptions&) const = default;
};

class TurnShare {
 public:
  // The place of one session in it.
  class Place {
   public:
    // The share is borrowed, and null where there is no limit. on_turn is called from the loop.
    Place(TurnShare* share, std::function<void()> on_turn);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    Place(Place&&) = delete;
    Place& operator=(Place&&) = delete;

    // How many may be read now: none while others of the gateway wait.
    [[nodiscard]] uint32_t frames() const;
    void use_frames(uint32_t count);
    [[nodiscard]] bool may_write() const;
    void use_output(size_t bytes);

    // on_turn comes in the next round, or in a later one if it is used up by those before us.
    void wait();
    void stop_waiting();

   private:
    friend class TurnShare;

    [[nodiscard]] bool is_first() const;

    TurnShare* share_;
    std::function<void()> on_turn_;
    bool waiting_ = false;
  };

  // Loop and counter outlive it, and it outlives its places. waits: how often a place has waited.
  TurnShare(Loop& loop, const TurnShareOptions& options, Counter& waits);
  TurnShare(const TurnShare&) = delete;
  TurnShare& operator=(const TurnShare&) = delete;
  TurnShare(TurnShare&&) = delete;
  TurnShare& operator=(TurnShare&&) = delete;
  ~TurnShare() = default;

 private:
  void on_round();

  [[nodiscard]] bool is_used_up() const { return frames_left_ == 0 || output_left_ == 0; }

  const TurnShareOptions options_;
  Counter& waits_;
  uint32_t frames_left_;
  size_t output_left_;
  std::deque<Place*> waiting_;
  Place* being_served_ = nullptr;
  LoopRounds rounds_;
};

}  // namespace ptth
