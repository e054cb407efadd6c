#include "agent/status_history.h"

#include <utility>

namespace ptth {

namespace {

// The steps of each dial would push out what tells more.
bool is_told(LinkState state) {
  switch (state) {
    case LinkState::kBackingOff:
    case LinkState::kAttached:
    case LinkState::kDraining:
    case LinkState::kClosed:
      return true;
    case LinkState::kIdle:
    case LinkState::kResolving:
    case LinkState::kConnecting:
    case LinkState::kSecuring:
    case LinkState::kReversing:
    case LinkState::kAttaching:
      return false;
  }
  return false;
}

}  // namespace

StatusHistory::StatusHistory(Loop& loop, Measure measure)
    : loop_(loop),
      measure_(std::move(measure)),
      began_ms_(loop.now_ms()),
      timer_(loop, [this] { sample(); }) {
  timer_.start(kSampleInterval);
}

void StatusHistory::note(const Link& link, LinkState state) {
  Gateway& gateway = gateways_[link.gateway()];
  if (state == LinkState::kClosed) {
    gateway.since_ms.erase(link.id());
  } else {
    gateway.since_ms[link.id()] = loop_.now_ms();
  }
  if (!is_told(state)) return;
  if (gateway.events.size() == kEventsPerGatewayMax) gateway.events.pop_front();
  gateway.events.push_back({loop_.now_ms(), link.id(), state, link.last_error()});
}

void StatusHistory::forget(const std::string& gateway) {
  gateways_.erase(gateway);
}

std::vector<StatusReport::Event> StatusHistory::events(const std::string& gateway) const {
  std::vector<StatusReport::Event> events;
  const auto known = gateways_.find(gateway);
  if (known == gateways_.end()) return events;
  for (const Event& event : known->second.events)
    events.push_back(
        {seconds_since(event.at_ms), event.link, to_string(event.state), event.reason});
  return events;
}

double StatusHistory::state_seconds(const Link& link) const {
  const auto gateway = gateways_.find(link.gateway());
  if (gateway == gateways_.end()) return uptime_seconds();
  const auto since = gateway->second.since_ms.find(link.id());
  return since == gateway->second.since_ms.end() ? 0 : seconds_since(since->second);
}

double StatusHistory::seconds_since(uint64_t ms) const {
  return static_cast<double>(loop_.now_ms() - ms) / 1000.0;
}

void StatusHistory::sample() {
  if (samples_.size() == kSamplesMax) samples_.pop_front();
  samples_.push_back(measure_());
  timer_.start(kSampleInterval);
}

}  // namespace ptth
