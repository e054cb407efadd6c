#include "agent/relay/quiet_drain.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// Between the answer to one probe and the next: what the gateway's users need at least to react to
// what they were sent.
constexpr Milliseconds kProbePause{20};
// Before an idle link's limit is lowered.
constexpr int kIdleRounds = 4;

}  // namespace

QuietDrain::QuietDrain(Loop& loop, Milliseconds patience, Actions& session)
    : session_(session),
      patience_(patience),
      release_(loop, [this] { on_patience_over(); }),
      next_probe_(loop, [this] { probe(); }) {}

void QuietDrain::begin(size_t open, uint32_t limit) {
  open_ = open;
  limit_ = limit;
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
  limit_before_ = std::exchange(limit_, limit);
  limit_is_known_ = false;
  session_.announce_limit(limit_);
}

void QuietDrain::take_back_limit() {
  limit_ = std::max(limit_before_, static_cast<uint32_t>(open_) + 1);
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
  if (stage_ == Stage::kQuiet) stage_ = Stage::kWaiting;
}

void QuietDrain::on_probe_answered() {
  if (!probe_under_way_) return;
  probe_under_way_ = false;
  if (!holds()) return;
  next_probe_.start(kProbePause);
  if (std::exchange(disturbed_, false)) {
    idle_rounds_ = 0;
    return;
  }
  if (open_ > 0) {
    if (stage_ != Stage::kQuiet) session_.start_oldest_deferred();
    stage_ = Stage::kQuiet;
  } else if (limit_ <= 1) {
    session_.leave_now();
  } else if (++idle_rounds_ >= kIdleRounds) {
    lower_to(1);
  }
}

void QuietDrain::before_end(bool is_brief) {
  if (stage_ == Stage::kFilled && limit_ > 1) {
    session_.announce_limit(--limit_);
  } else if (stage_ == Stage::kQuiet && is_brief && open_ <= limit_) {
    stage_ = Stage::kLowered;
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
