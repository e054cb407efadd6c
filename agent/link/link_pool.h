#pragma once

// LinkPool: the links to one gateway. With HTTP/2 they are as many as configured, for ever. With
// HTTP/1.1, where a connection carries one exchange at a time, there are always some to spare for
// the next requests, up to a maximum; what was not needed for some time is closed, also when the
// gateway has changed to HTTP/2. Each link dials again, and backs off, by itself.

#include "agent/link/link.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth {

class LinkPool final : private Link::Listener {
 public:
  // The link that has that index, not started.
  using MakeLink = std::function<std::unique_ptr<Link>(uint32_t index, Link::Listener& listener)>;

  struct Parameters {
    std::string gateway;  // For metrics.
    uint32_t connections = 1;
    LinkPoolOptions options;  // max is not 0.
    MakeLink make_link;
  };

  // The listener hears of all links. Loop, metrics and listener outlive the pool.
  LinkPool(Loop& loop, Metrics& metrics, Parameters parameters, Link::Listener& listener);
  ~LinkPool();
  LinkPool(const LinkPool&) = delete;
  LinkPool& operator=(const LinkPool&) = delete;
  LinkPool(LinkPool&&) = delete;
  LinkPool& operator=(LinkPool&&) = delete;

  void start();
  // Another number of links; those beyond it are drained.
  void retune(uint32_t connections, const LinkPoolOptions& options);
  // Of all links; no other is dialled. One whose hello is under way is drained behind it.
  void drain();
  void abort();

  // Those that were closed as surplus are not among them from the end of the turn on.
  [[nodiscard]] const std::vector<std::unique_ptr<Link>>& links() const { return links_; }

 private:
  struct Count {
    uint32_t all = 0;      // That stay.
    uint32_t idle = 0;     // Attached and free.
    uint32_t spare = 0;    // The same, with HTTP/1.1.
    uint32_t busy = 0;     // Attached and taken.
    uint32_t dialled = 0;  // On their way to be attached.
    bool one_exchange = false;
  };

  void on_link_state(const Link& link, LinkState state) override;
  void on_link_load_changed(const Link& link) override;

  [[nodiscard]] Count count() const;
  [[nodiscard]] uint32_t wanted(const Count& now) const;
  void balance();
  void drain_links();
  void show(uint32_t spare, uint32_t busy);
  void forget_closed();
  void add_link();
  void watch_surplus(uint32_t surplus);
  void close_surplus();

  Parameters parameters_;
  Link::Listener& listener_;
  Loop& loop_;
  Gauge& spare_;
  Gauge& busy_;
  Counter& dials_;
  Counter& closes_;
  Counter& exhausted_;
  // What those gauges have of us: another pool of the same gateway may add to them.
  uint32_t spare_shown_ = 0;
  uint32_t busy_shown_ = 0;
  bool is_leaving_ = false;
  bool is_exhausted_ = false;
  // At least so many were too many since the timer began to run.
  uint32_t surplus_ = 0;
  std::vector<std::unique_ptr<Link>> links_;
  EndOfTurn balance_;
  Timer surplus_timer_;
};

}  // namespace ptth
