#pragma once

// LoopRounds: a call after each look of the loop at its sockets. Between two of them every socket
// that was ready has been heard, however many turns that took (Loop::note_input ends them): who has
// had enough waits for the next round, so that the others are heard before.

#include "common/loop.h"

#include <functional>
#include <memory>

namespace ptth {

class LoopRounds {
 public:
  LoopRounds(Loop& loop, std::function<void()> on_round);
  ~LoopRounds();
  LoopRounds(const LoopRounds&) = delete;
  LoopRounds& operator=(const LoopRounds&) = delete;
  LoopRounds(LoopRounds&&) = delete;
  LoopRounds& operator=(LoopRounds&&) = delete;

  // The next round comes without waiting for an event. Asked for anew in each round.
  void come_soon();

 private:
  struct Handles;

  struct CloseHandles {
    void operator()(Handles* handles) const noexcept;
  };

  std::unique_ptr<Handles, CloseHandles> handles_;
};

}  // namespace ptth
