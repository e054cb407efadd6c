#include "agent/link/link_pool.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

bool stays(const Link& link) {
  return link.state() != LinkState::kDraining && link.state() != LinkState::kClosed;
}

bool is_dialled(LinkState state) {
  switch (state) {
    case LinkState::kIdle:
    case LinkState::kResolving:
    case LinkState::kConnecting:
    case LinkState::kSecuring:
    case LinkState::kReversing:
    case LinkState::kAttaching:
      return true;
    case LinkState::kBackingOff:
    case LinkState::kAttached:
    case LinkState::kDraining:
    case LinkState::kClosed:
      return false;
  }
  return false;
}

bool is_idle(const Link& link) {
  return link.state() == LinkState::kAttached && link.exchanges_in_flight() == 0;
}

bool is_spare(const Link& link) {
  return link.carries_one_exchange() && is_idle(link);
}

}  // namespace

LinkPool::LinkPool(Loop& loop, Metrics& metrics, Parameters parameters, Link::Listener& listener)
    : parameters_(std::move(parameters)),
      listener_(listener),
      loop_(loop),
      spare_(metrics.gauge("ptth_http1_connections", "Attached connections of HTTP/1.1.",
                           {{"gateway", parameters_.gateway}, {"state", "spare"}})),
      busy_(metrics.gauge("ptth_http1_connections", "Attached connections of HTTP/1.1.",
                          {{"gateway", parameters_.gateway}, {"state", "busy"}})),
      dials_(metrics.counter("ptth_http1_links_added",
                             "Links added because those there were taken.",
                             {{"gateway", parameters_.gateway}})),
      closes_(metrics.counter("ptth_http1_links_removed",
                              "Links closed because they were not needed.",
                              {{"gateway", parameters_.gateway}})),
      exhausted_(metrics.counter("ptth_http1_links_exhausted",
                                 "Times at which all links that may be were taken.",
                                 {{"gateway", parameters_.gateway}})),
      balance_(loop, [this] { balance(); }),
      surplus_timer_(loop, [this] { close_surplus(); }) {
  for (uint32_t index = 0; index < parameters_.connections; ++index)
    links_.push_back(parameters_.make_link(index, *this));
}

LinkPool::~LinkPool() {
  show(0, 0);
}

void LinkPool::start() {
  for (const auto& link : links_)
    link->start();
}

void LinkPool::retune(uint32_t connections, const LinkPoolOptions& options) {
  parameters_.connections = connections;
  parameters_.options = options;
  // With HTTP/1.1, what is too much now is closed as surplus.
  for (const auto& link : links_) {
    if (link->id() >= connections && !link->carries_one_exchange()) link->drain();
  }
  balance_.schedule();
}

void LinkPool::drain() {
  is_leaving_ = true;
  drain_links();
}

// While a hello is under way, the gateway may have said yes and sent a request behind it, which
// would be lost with the connection. Such a link leaves when its hello is over, which has a time of
// its own.
void LinkPool::drain_links() {
  for (const auto& link : links_) {
    if (stays(*link) && link->state() != LinkState::kReversing) link->drain();
  }
}

void LinkPool::abort() {
  is_leaving_ = true;
  for (const auto& link : links_)
    link->abort();
}

void LinkPool::on_link_state(const Link& link, LinkState state) {
  balance_.schedule();
  listener_.on_link_state(link, state);
}

void LinkPool::on_link_load_changed(const Link& link) {
  balance_.schedule();
  listener_.on_link_load_changed(link);
}

LinkPool::Count LinkPool::count() const {
  Count now;
  for (const auto& link : links_) {
    now.one_exchange |= link->carries_one_exchange();
    if (!stays(*link)) continue;
    ++now.all;
    if (is_dialled(link->state())) ++now.dialled;
    if (is_idle(*link)) ++now.idle;
    if (is_spare(*link)) ++now.spare;
    const bool is_attached = link->state() == LinkState::kAttached && link->carries_one_exchange();
    if (is_attached && link->exchanges_in_flight() > 0) ++now.busy;
  }
  return now;
}

uint32_t LinkPool::wanted(const Count& now) const {
  const LinkPoolOptions& options = parameters_.options;
  const uint32_t most = std::max(options.max, parameters_.connections);
  return std::clamp(now.busy + options.spare, parameters_.connections, most);
}

void LinkPool::balance() {
  if (is_leaving_) return drain_links();
  forget_closed();
  Count now = count();
  show(now.spare, now.busy);
  const uint32_t want = now.one_exchange ? wanted(now) : parameters_.connections;
  while (now.all < want && now.dialled < parameters_.options.dials) {
    add_link();
    now = count();
  }
  const bool was_exhausted = std::exchange(
      is_exhausted_, now.one_exchange && now.busy == now.all && now.all >= parameters_.options.max);
  if (is_exhausted_ && !was_exhausted) exhausted_.add();
  watch_surplus(now.all > want ? std::min(now.all - want, now.idle) : 0);
}

void LinkPool::show(uint32_t spare, uint32_t busy) {
  spare_.add(double{0} + spare - std::exchange(spare_shown_, spare));
  busy_.add(double{0} + busy - std::exchange(busy_shown_, busy));
}

void LinkPool::forget_closed() {
  for (auto& link : links_) {
    if (link->state() == LinkState::kClosed) loop_.retire(std::move(link));
  }
  std::erase(links_, nullptr);
}

// The lowest index that is free: it chooses the address, and names the link in logs.
void LinkPool::add_link() {
  uint32_t index = 0;
  const auto is_taken = [&](const auto& link) { return link->id() == index; };
  while (std::any_of(links_.begin(), links_.end(), is_taken))
    ++index;
  dials_.add();
  links_.push_back(parameters_.make_link(index, *this));
  links_.back()->start();
}

void LinkPool::watch_surplus(uint32_t surplus) {
  if (surplus == 0) {
    surplus_timer_.stop();
  } else if (!surplus_timer_.running()) {
    surplus_ = surplus;
    surplus_timer_.start(parameters_.options.surplus_after);
  } else {
    surplus_ = std::min(surplus_, surplus);
  }
}

// The last ones, so that the first keep their addresses.
void LinkPool::close_surplus() {
  for (auto link = links_.rbegin(); link != links_.rend() && surplus_ > 0; ++link) {
    if (!is_idle(**link)) continue;
    --surplus_;
    closes_.add();
    (*link)->drain();
  }
}

}  // namespace ptth
