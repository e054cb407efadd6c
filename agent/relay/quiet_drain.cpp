#include "agent/relay/quiet_drain.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// Between the answer to one probe and the next.
constexpr Milliseconds kProbePause{20};
// Rounds in which nothing came or ended: before an idle link is left, before the limit of another
// is lowered, and before a user is answered so that he asks again. The users must have had the time
// to react to what they were sent, also where the machine has more to do than it can.
constexpr int kRoundsBeforeLeaving = 4;
constexpr int kRoundsBeforeLowering = 2;
constexpr int kRoundsBeforeRelease = 2;
// When a user who was answered did not ask again: whoever is answered next could cross him.
constexpr int kRoundsBeforeNextRelease = 12;

}  // namespace

QuietDrain::QuietDrain(Loop& loop, Milliseconds patience, Actions& session)
    : session_(session),
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
  if (open_ == 0) {
    session_.leave_now();
    return;
  }
  release_.start(patience_);
  session_.start_all_deferred();
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
  limit_ = std::max(first_limit_, static_cast<uint32_t>(open_) + 1);
  session_.announce_limit(limit_);
  stage_ = Stage::kWaiting;
}

void QuietDrain::on_request(size_t open) {
  open_ = open;
  if (!holds()) return;
  disturbed_ = true;
  if (open >= limit_ && !limit_is_known_) {
    take_back_limit();
    return;
  }
  if (open >= limit_) {
    stage_ = Stage::kFilled;
    stop();
    session_.start_all_deferred();
    return;
  }
  // What was known of the gateway's side is no longer true.
  if (stage_ == Stage::kReleasing) stage_ = Stage::kWaiting;
}

void QuietDrain::on_probe_answered() {
  if (!probe_under_way_) return;
  probe_under_way_ = false;
  if (!holds()) return;
  next_probe_.start(kProbePause);
  quiet_rounds_ = std::exchange(disturbed_, false) ? 0 : quiet_rounds_ + 1;
  if (open_ == 0) {
    if (quiet_rounds_ >= kRoundsBeforeLeaving) session_.leave_now();
  } else if (stage_ == Stage::kWaiting && quiet_rounds_ >= kRoundsBeforeLowering) {
    leave_room_for_one();
  } else if (stage_ == Stage::kLowered && quiet_rounds_ >= rounds_before_release_) {
    stage_ = Stage::kReleasing;
    session_.start_oldest_deferred();
  }
}

void QuietDrain::leave_room_for_one() {
  const auto limit = static_cast<uint32_t>(open_) + 1;
  if (limit < limit_) lower_to(limit);
  stage_ = Stage::kLowered;
  quiet_rounds_ = 0;
  rounds_before_release_ = kRoundsBeforeRelease;
}

void QuietDrain::before_end(bool is_brief) {
  if (stage_ == Stage::kFilled && limit_ > 1) {
    session_.announce_limit(--limit_);
  } else if (stage_ == Stage::kReleasing && is_brief && open_ <= limit_) {
    stage_ = Stage::kLowered;
    rounds_before_release_ = kRoundsBeforeNextRelease;
    lower_to(static_cast<uint32_t>(open_));
  }
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
  if (open == 0 && stage_ == Stage::kFilled) session_.leave_now();
}

void QuietDrain::stop() {
  release_.stop();
  next_probe_.stop();
}

}  // namespace ptth
