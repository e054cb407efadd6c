#include "agent/relay/liveness.h"

namespace ptth {

Liveness::Liveness(Loop& loop, Milliseconds ping_after, Milliseconds ping_timeout, Actions& session)
    : loop_(loop),
      ping_after_(ping_after),
      ping_timeout_(ping_timeout),
      session_(session),
      silence_(loop, [this] { on_silence(); }) {}

void Liveness::begin() {
  note_bytes();
  silence_.start(ping_after_);
}

void Liveness::stop() {
  silence_.stop();
}

// Bytes do not touch the timer, which would cost something for each read: it looks when it fires.
void Liveness::on_silence() {
  const auto silent = Milliseconds(loop_.now_ms() - last_received_ms_);
  if (silent < ping_after_) {
    ping_sent_ = false;
    silence_.start(ping_after_ - silent);
    return;
  }
  if (ping_sent_) {
    session_.on_dead();
    return;
  }
  ping_sent_ = true;
  silence_.start(ping_timeout_);
  session_.send_ping();
}

}  // namespace ptth
