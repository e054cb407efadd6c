#include "agent/readiness.h"

namespace ptth {

void DampedCheck::observe(Check::State state) {
  if (state == now_) return;
  before_ = this->state();
  now_ = state;
  since_ms_ = loop_.now_ms();
  if (state == Check::State::kPassing && !passed_once_) {
    before_ = state;
    passed_once_ = true;
  }
}

Check::State DampedCheck::state() const {
  const bool passes = now_ == Check::State::kPassing;
  const Milliseconds needed = passes ? options_.passes_after : options_.fails_after;
  const auto kept = static_cast<int64_t>(loop_.now_ms() - since_ms_);
  return kept >= needed.count() ? now_ : before_;
}

}  // namespace ptth
