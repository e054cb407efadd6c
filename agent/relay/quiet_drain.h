#pragma once

// QuietDrain: in which order a session leaves a gateway that must not be told so beforehand
// (DrainStyle::kHoldAndClose). It only decides; the session does.
//
// Why so: HAProxy keeps a link that carries streams in a pool, from which each new request takes
// the first. A link that may take no more, because of GOAWAY, its end, or a lowered limit, stays
// there until the next request picks it, and that request fails without a retry (seen on 3.0,
// connect_server in its backend.c). The one way out of the pool that costs nothing is to be filled:
// the request that uses its last free stream takes the link out, and it comes back only when a
// stream ends while the limit leaves room. So new requests wait here, unseen by the origin, until
// the gateway is quiet (nothing came or ended during some pauses and round trips). Then the limit
// is lowered to one more than is open: who comes next fills the link. If nobody does, because all
// its users wait for us, one of them is answered; the write that ends his exchange lowers the limit
// to what was open, and his next request fills the link. From then on the limit falls with each
// exchange that ends, nothing new comes, and all that came is served. An idle link is left once it
// was idle for long enough: a request that crosses its end is one that HAProxy may try again.
//
// A request that crosses a lowered limit on its way leaves the link in the pool and full, which is
// what fails the next one: the limit is taken back at once. It is rare that one crosses, and rarer
// that the next comes before that, as long as whoever was slow to ask again is waited for.

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
    // Exchanges that were deferred begin: the oldest, or all.
    virtual void start_oldest_deferred() = 0;
    virtual void start_all_deferred() = 0;
    virtual void leave_now() = 0;

   protected:
    ~Actions() = default;
  };

  // patience: how long a request waits at most.
  QuietDrain(Loop& loop, Milliseconds patience, Actions& session);

  // `open` is, here and below, the number of exchanges on the link from then on.
  // limit: what the gateway has been told.
  void begin(size_t open, uint32_t limit);

  [[nodiscard]] bool active() const { return stage_ != Stage::kIdle; }

  // New exchanges are to be deferred.
  [[nodiscard]] bool holds() const { return stage_ != Stage::kIdle && stage_ != Stage::kFilled; }

  void on_request(size_t open);
  void on_probe_answered();

  // The gateway has acknowledged every limit that it was told: what comes from now on was sent in
  // their knowledge.
  void on_limit_known() { limit_is_known_ = true; }

  // An exchange will end with the next write. An answer is brief when it certainly ends there, and
  // no window of the gateway can hold it up.
  void before_end(bool is_brief);
  // The gateway gave up a stream, and so has room again.
  void on_gateway_reset();
  // An exchange has ended.
  void on_end(size_t open);
  void stop();

 private:
  enum class Stage {
    kIdle,       // Not draining.
    kWaiting,    // For quiet.
    kLowered,    // The limit leaves room for one: waiting for the request that fills the link.
    kReleasing,  // None came: the next brief answer lowers the limit to what is open.
    kFilled,     // The gateway sends nothing here.
  };

  void probe();
  void on_patience_over();
  void leave_room_for_one();
  void lower_to(uint32_t limit);
  void take_back_limit();

  Actions& session_;
  const Milliseconds patience_;
  uint32_t first_limit_ = 0;
  uint32_t limit_ = 0;
  bool limit_is_known_ = true;
  int quiet_rounds_ = 0;  // Undisturbed, up to now.
  int rounds_before_release_ = 0;
  size_t open_ = 0;
  Stage stage_ = Stage::kIdle;
  bool probe_under_way_ = false;
  bool disturbed_ = false;  // By a request or an end since the last answer to a probe.
  Timer release_;
  Timer next_probe_;
};

}  // namespace ptth
