#pragma once

// Liveness: a gateway that has been silent is asked with a PING, and counts as dead when it does
// not answer. It only decides; the session does.

#include "common/loop.h"

#include <cstdint>

namespace ptth {

class Liveness {
 public:
  // What it asks of the session; none of these calls comes back into it but end().
  class Actions {
   public:
    virtual void send_ping() = 0;
    virtual void on_dead() = 0;

   protected:
    ~Actions() = default;
  };

  // ping_after: silence before we ask. ping_timeout: silence after we asked.
  Liveness(Loop& loop, Milliseconds ping_after, Milliseconds ping_timeout, Actions& session);

  void begin();
  void stop();

  void note_bytes() { last_received_ms_ = loop_.now_ms(); }

  void note_ping_answered() { ping_sent_ = false; }

 private:
  void on_silence();

  Loop& loop_;
  const Milliseconds ping_after_;
  const Milliseconds ping_timeout_;
  Actions& session_;
  bool ping_sent_ = false;
  uint64_t last_received_ms_ = 0;
  Timer silence_;
};

}  // namespace ptth
