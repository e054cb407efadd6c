#include "agent/relay/wait_queue.h"

#include <algorithm>

namespace ptth {

void WaitQueue::push(Entry& entry, uint8_t urgency, size_t gateway, uint64_t now_ms) {
  entry.urgency_ = urgency;
  entry.gateway_ = gateway;
  entry.since_ms_ = now_ms;
  link(entry);
}

void WaitQueue::take(Entry& entry) {
  std::deque<size_t>& turns = levels_[entry.urgency_].turns;
  turns.erase(std::find(turns.begin(), turns.end(), entry.gateway_));
  turns.push_back(entry.gateway_);
  unlink(entry);
}

void WaitQueue::remove(Entry& entry) {
  unlink(entry);
}

void WaitQueue::move_to(Entry& entry, uint8_t urgency) {
  if (urgency == entry.urgency_) return;
  unlink(entry);
  entry.urgency_ = urgency;
  link(entry);
}

WaitQueue::Line& WaitQueue::line_of(const Entry& entry) {
  std::vector<Line>& lines = levels_[entry.urgency_].lines;
  if (lines.size() <= entry.gateway_) lines.resize(entry.gateway_ + 1);
  return lines[entry.gateway_];
}

// Nearly always at the end: only who changes its urgency may be older than others.
void WaitQueue::link(Entry& entry) {
  Line& line = line_of(entry);
  Entry* before = line.last;
  while (before != nullptr && before->since_ms_ > entry.since_ms_)
    before = before->previous_;
  Entry*& place = before == nullptr ? line.first : before->next_;
  entry.previous_ = before;
  entry.next_ = place;
  place = &entry;
  (entry.next_ == nullptr ? line.last : entry.next_->previous_) = &entry;
  if (line.size++ == 0) levels_[entry.urgency_].turns.push_back(entry.gateway_);
  ++size_;
}

void WaitQueue::unlink(Entry& entry) {
  Line& line = line_of(entry);
  (entry.previous_ == nullptr ? line.first : entry.previous_->next_) = entry.next_;
  (entry.next_ == nullptr ? line.last : entry.next_->previous_) = entry.previous_;
  entry.previous_ = nullptr;
  entry.next_ = nullptr;
  --size_;
  if (--line.size > 0) return;
  std::deque<size_t>& turns = levels_[entry.urgency_].turns;
  turns.erase(std::find(turns.begin(), turns.end(), entry.gateway_));
}

WaitQueue::Entry* WaitQueue::victim_for(uint8_t urgency, size_t gateway) const {
  for (size_t lowest = Priority::kUrgencies; lowest-- > urgency;) {
    const Level& level = levels_[lowest];
    const Line* longest = nullptr;
    for (const size_t candidate : level.turns) {
      const Line& line = level.lines[candidate];
      if (longest == nullptr || line.size > longest->size) longest = &line;
    }
    if (longest == nullptr) continue;
    if (lowest > urgency) return longest->last;
    const size_t own = gateway < level.lines.size() ? level.lines[gateway].size : 0;
    return longest->size > own + 1 ? longest->last : nullptr;
  }
  return nullptr;
}

}  // namespace ptth
