#include "agent/relay/quiet_drain.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// Between the answer to one probe and the next.
constexpr Milliseconds kProbePause{20};
// Rounds in which nothing came or ended, before a limit is lowered or users are answered. The users
// must have had the time to react to what they were sent, also where the machine has more to do
// than it can.
constexpr int kQuietRounds = 2;
// On an idle link nobody waits: before its limit is lowered to one, and before it is left without
// the request that would fill it.
constexpr int kIdleRoundsBeforeLowering = 10;
constexpr int kIdleRoundsBeforeLeaving = 6;
// A turn that took longer says nothing of what has come meanwhile.
constexpr uint64_t kTurnMaxMs = 5;
// How many requests may cross a lowered limit: as many as are open, within these bounds.
constexpr uint32_t kRoomMin = 2;
constexpr uint32_t kRoomMax = 8;

uint32_t room_above(size_t open) {
  return std::clamp(static_cast<uint32_t>(open), kRoomMin, kRoomMax);
}

}  // namespace

QuietDrain::QuietDrain(Loop& loop, Milliseconds patience, Actions& session)
    : loop_(loop),
      session_(session),
      patience_(patience),
      release_(loop, [this] { on_patience_over(); }),
      next_probe_(loop, [this] { probe(); }) {}

void QuietDrain::begin(size_t open, uint32_t limit) {
  open_ = open;
  limit_ = first_limit_ = limit;
  stage_ = open >= limit_ ? Stage::kFilled : Stage::kWaiting;
  if (stage_ == Stage::kFilled) return;
  release_.start(patience_);
  disturbed_ = true;
  probe();
}

// Nobody waits for longer, be it for exchanges that take their time or for a gateway that answers
// no PING.
void QuietDrain::on_patience_over() {
  if (!std::exchange(is_answering_, false) && open_ == 0) {
    stop_holding();
    return;
  }
  release_.start(patience_);
  session_.start_deferred(open_);
}

void QuietDrain::probe() {
  if (probe_under_way_ || !holds()) return;
  probe_under_way_ = true;
  session_.send_probe();
}

void QuietDrain::lower_to(uint32_t limit) {
  limit_ = limit;
  limit_is_known_ = false;
  session_.announce_limit(limit_);
}

void QuietDrain::take_back_limit() {
  lower_to(std::max(first_limit_, static_cast<uint32_t>(open_) + 1));
  stage_ = Stage::kWaiting;
}

void QuietDrain::on_request(size_t open) {
  open_ = open;
  if (!holds()) return;
  disturbed_ = true;
  if (open < limit_) return;
  if (limit_is_known_) {
    stop_holding();
  } else {
    take_back_limit();
  }
}

void QuietDrain::stop_holding() {
  stage_ = Stage::kFilled;
  stop();
  session_.start_deferred(open_);
  session_.leave_with_last_exchange();
}

void QuietDrain::on_probe_answered() {
  round_is_over_ = std::exchange(probe_under_way_, false);
  is_answering_ = true;
  answered_at_ms_ = loop_.exact_now_ms();
}

void QuietDrain::on_turn_ending() {
  if (!std::exchange(round_is_over_, false) || !holds()) return;
  next_probe_.start(kProbePause);
  if (loop_.exact_now_ms() - answered_at_ms_ > kTurnMaxMs) disturbed_ = true;
  quiet_rounds_ = std::exchange(disturbed_, false) ? 0 : quiet_rounds_ + 1;
  if (!limit_is_known_) return;
  if (open_ == 0) {
    go_on_idle();
  } else if (quiet_rounds_ >= kQuietRounds) {
    go_on();
  }
}

void QuietDrain::go_on() {
  quiet_rounds_ = 0;
  stage_ = Stage::kLowered;
  const uint32_t room = limit_ - static_cast<uint32_t>(open_);
  if (room > room_above(open_)) {
    lower_to(static_cast<uint32_t>(open_) + room_above(open_));
  } else {
    session_.start_deferred(room);
  }
}

void QuietDrain::go_on_idle() {
  const bool is_lowered = limit_ == 1;
  if (quiet_rounds_ < (is_lowered ? kIdleRoundsBeforeLeaving : kIdleRoundsBeforeLowering)) return;
  if (is_lowered) {
    stop_holding();
    return;
  }
  quiet_rounds_ = 0;
  stage_ = Stage::kLowered;
  lower_to(1);
}

// A long answer may end here and stay with the gateway for as long as its user takes.
void QuietDrain::before_end(size_t open, bool is_brief) {
  open_ = open;
  const bool is_known_to_end = stage_ == Stage::kLowered && is_brief;
  if ((stage_ == Stage::kFilled || is_known_to_end) && limit_ > 1)
    session_.announce_limit(--limit_);
}

void QuietDrain::on_gateway_reset() {
  if (stage_ != Stage::kFilled) return;
  stage_ = Stage::kWaiting;
  release_.start(patience_);
  probe();
}

void QuietDrain::on_end(size_t open) {
  open_ = open;
  disturbed_ = true;
}

void QuietDrain::stop() {
  release_.stop();
  next_probe_.stop();
}

}  // namespace ptth
