#include "agent/relay/turn_share.h"

#include <algorithm>
#include <utility>

namespace ptth {

TurnShare::TurnShare(Loop& loop, const TurnShareOptions& options, Counter& waits)
    : options_(options),
      waits_(waits),
      frames_left_(options.frames),
      output_left_(options.output_bytes),
      rounds_(loop, [this] { on_round(); }) {}

void TurnShare::on_round() {
  frames_left_ = options_.frames;
  output_left_ = options_.output_bytes;
  // Who waits again is behind the others.
  for (size_t count = waiting_.size(); count > 0 && !waiting_.empty() && !is_used_up(); --count) {
    being_served_ = waiting_.front();
    waiting_.pop_front();
    being_served_->waiting_ = false;
    being_served_->on_turn_();
  }
  being_served_ = nullptr;
  if (!waiting_.empty()) rounds_.come_soon();
}

TurnShare::Place::Place(TurnShare* share, std::function<void()> on_turn)
    : share_(share), on_turn_(std::move(on_turn)) {}

TurnShare::Place::~Place() {
  stop_waiting();
}

bool TurnShare::Place::is_first() const {
  return share_->being_served_ == this || share_->waiting_.empty() ||
         share_->waiting_.front() == this;
}

uint32_t TurnShare::Place::frames() const {
  if (share_ == nullptr) return UINT32_MAX;
  return is_first() ? share_->frames_left_ : 0;
}

void TurnShare::Place::use_frames(uint32_t count) {
  if (share_ != nullptr) share_->frames_left_ -= std::min(count, share_->frames_left_);
}

bool TurnShare::Place::may_write() const {
  return share_ == nullptr || (is_first() && share_->output_left_ > 0);
}

void TurnShare::Place::use_output(size_t bytes) {
  if (share_ != nullptr) share_->output_left_ -= std::min(bytes, share_->output_left_);
}

void TurnShare::Place::wait() {
  if (share_ == nullptr || std::exchange(waiting_, true)) return;
  share_->waiting_.push_back(this);
  share_->waits_.add();
  share_->rounds_.come_soon();
}

void TurnShare::Place::stop_waiting() {
  if (share_ == nullptr) return;
  if (share_->being_served_ == this) share_->being_served_ = nullptr;
  if (std::exchange(waiting_, false)) std::erase(share_->waiting_, this);
}

}  // namespace ptth
