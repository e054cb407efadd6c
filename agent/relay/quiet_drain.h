#pragma once

// QuietDrain: in which order a session leaves a gateway that must not be told so beforehand
// (DrainStyle::kHoldAndClose). It only decides; the session does.
//
// Why so: HAProxy keeps a link that carries streams in a pool, from which each new request takes
// the first. A link that may take no more, because of GOAWAY, its end, or a lowered limit, stays
// there until the next request picks it, and that request fails without a retry (seen on 3.0,
// connect_server in its backend.c). The one way out of the pool that costs nothing is to be filled:
// the request that uses its last free stream takes the link out, and it comes back only when a
// stream ends while the limit leaves room.
//
// So the limit has to come down to what is open, and must never be found there by a request that
// did not fill the link itself:
//  1. New requests wait here, unseen by the origin, until the gateway is quiet (nothing came or
//     ended during some pauses and round trips).
//  2. The limit falls at once, but to some more than is open: as many may cross it on their way.
//  3. Who comes from then on waits here too, and takes of that room. When it is quiet before all
//     of it is taken, because all users wait for us, as many of them are answered as there is room.
//  4. From then on the limit falls by one with each exchange that ends, in the same write. What
//     crosses that finds as much room as before, while whoever was answered comes back and takes
//     some of what is left, up to the one who fills the link.
//  5. Then nothing new comes, all that came is served, and the link ends with the last of it.
// An idle link has nobody to answer. Its limit falls to one, so that the next request fills it. If
// none comes for some rounds it is left, and at most one can cross that: a gateway that may try
// again does so, but when a link ends under several requests HAProxy tries the first of them on
// that very link, in vain.
//
// If more requests than there was room for cross the limit of step 2 (or, on an idle link, any),
// the link is in the pool and full: the limit is taken back at once.

#include "common/loop.h"

#include <cstddef>
#include <cstdint>

namespace ptth {

class QuietDrain {
 public:
  // What it asks of the session; none of these calls comes back into it.
  class Actions {
   public:
    virtual void announce_limit(uint32_t streams) = 0;
    // A PING; its answer is told by on_probe_answered().
    virtual void send_probe() = 0;
    // The oldest of the exchanges that were deferred begin.
    virtual void start_deferred(size_t count_max) = 0;
    // At once if there is none.
    virtual void leave_with_last_exchange() = 0;

   protected:
    ~Actions() = default;
  };

  // patience: how long a request waits at most.
  QuietDrain(Loop& loop, Milliseconds patience, Actions& session);

  // `open` is, here and below, the number of exchanges on the link once what is prepared is
  // written: those that certainly end there do not count.
  // limit: what the gateway has been told.
  void begin(size_t open, uint32_t limit);

  // New exchanges are to be deferred. When that is over, the link is left with its last exchange.
  [[nodiscard]] bool holds() const { return stage_ != Stage::kIdle && stage_ != Stage::kFilled; }

  void on_request(size_t open);
  void on_probe_answered();

  // All that had come from the gateway was looked at, and nothing is written yet.
  void on_turn_ending();

  // The gateway has acknowledged every limit that it was told: what comes from now on was sent in
  // their knowledge.
  void on_limit_known() { limit_is_known_ = true; }

  // An exchange will end with the next write. An answer is brief when it certainly ends there, and
  // no window of the gateway can hold it up.
  void before_end(size_t open, bool is_brief);
  // The gateway gave up a stream, and so has room again.
  void on_gateway_reset();
  // An exchange has ended.
  void on_end(size_t open);
  void stop();

 private:
  enum class Stage {
    kIdle,     // Not draining.
    kWaiting,  // For quiet.
    kLowered,  // The limit is near what is open: waiting for the requests that fill the link.
    kFilled,   // The gateway sends nothing here, or nothing more is waited for.
  };

  void probe();
  void on_patience_over();
  void go_on();
  void go_on_idle();
  void lower_to(uint32_t limit);
  void take_back_limit();
  void stop_holding();

  Loop& loop_;
  Actions& session_;
  const Milliseconds patience_;
  uint32_t first_limit_ = 0;
  uint32_t limit_ = 0;
  // Of the limits that did not fall along with the end of an exchange.
  bool limit_is_known_ = true;
  int quiet_rounds_ = 0;  // Undisturbed, up to now.
  size_t open_ = 0;
  Stage stage_ = Stage::kIdle;
  bool probe_under_way_ = false;
  bool is_answering_ = false;  // Since the patience was last over.
  uint64_t answered_at_ms_ = 0;
  bool round_is_over_ = false;
  bool disturbed_ = false;  // By a request or an end since the last answer to a probe.
  Timer release_;
  Timer next_probe_;
};

}  // namespace ptth
