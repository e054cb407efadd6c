#pragma once

// GatewaySet: the gateways that the agent is attached to, while they come and go. It is told what
// there shall be, and does what is missing: a gateway that stays as it is notices nothing; one that
// is gone is drained, and vanishes, with its metrics; one whose settings have changed gets new
// links, and the old ones are drained only when those are attached.

#include "agent/link/link.h"
#include "agent/load_meter.h"
#include "common/authority.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/network.h"
#include "common/tls_contexts.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth {

class CapacityShares;
class Fetcher;
struct Budget;
struct RelayMetrics;

class GatewaySet {
 public:
  class Listener {
   public:
    // From the loop. The link is ready for requests.
    virtual void on_gateway_attached(const Link& link) = 0;
    // A gateway that shall be there has refused our credentials.
    virtual void on_credentials_refused(const Link& link) = 0;
    // A gateway that shall be there cannot be reached: none of its links is attached.
    virtual void on_link_trouble(const Link& link) = 0;
    // Of all links.
    virtual void on_link_changed(const Link& link, LinkState state) = 0;
    // The last links of that name have gone.
    virtual void on_gateway_gone(const std::string& name) = 0;
    // After drain() or abort(): no link is left. Once.
    virtual void on_all_closed() = 0;

   protected:
    ~Listener() = default;
  };

  // What it borrows; all of it outlives the set.
  struct Surroundings {
    Loop& loop;
    Log& log;
    Metrics& metrics;
    Origin& origin;
    Budget& budget;
    CapacityShares& shares;
    Network& network;
    Fetcher& fetcher;
    TlsContexts& tls_contexts;
    std::string worker_id;
    // What every gateway may be told; identity, share and draining differ, and are the set's to
    // say. Empty: nothing.
    std::function<WorkerFacts()> worker_facts = {};
    // For load reports. Empty: there are none.
    std::function<StatusReport::Sample()> sample = {};
  };

  struct Desired {
    std::vector<GatewayOptions> gateways;  // Each has a name of its own, and a profile.
    ServedAuthorities serve;
    uint32_t capacity = 100;     // The most that there may be.
    uint32_t first_share = 100;  // What a new link advertises.
    Milliseconds expiry_warning{0};
    Milliseconds drain_timeout{30'000};  // Of a gateway that is gone or was replaced.
    // The old links of a changed gateway wait so long for the new ones; 0: as long as it takes.
    Milliseconds handover_timeout{0};
  };

  struct Changes {
    size_t added = 0;
    size_t removed = 0;
    size_t replaced = 0;
    size_t retuned = 0;  // In place, without a new connection.
    size_t unchanged = 0;
  };

  // Of all gateways that there have been.
  struct Totals {
    uint64_t served = 0;
    uint64_t refused = 0;  // Before the origin saw anything.
    uint64_t cut = 0;      // At the end of a drain.
  };

  GatewaySet(Surroundings around, Listener& listener);
  GatewaySet(const GatewaySet&) = delete;
  GatewaySet& operator=(const GatewaySet&) = delete;
  GatewaySet(GatewaySet&&) = delete;
  GatewaySet& operator=(GatewaySet&&) = delete;
  ~GatewaySet();

  // Nothing after drain() or abort().
  Changes apply(const Desired& desired);
  void look_at_credentials(int64_t now);
  // Moves the shares of the links to where the demand is (next_shares).
  void share_capacity(uint32_t capacity, uint32_t overcommit_percent);

  // Of all links, for good. How long it may take is the caller's to bound, with abort().
  void drain();
  void abort();

  // One gateway with one set of options, for who shows it.
  struct View {
    const GatewayOptions& options;
    const std::vector<std::unique_ptr<Link>>& links;
    const RelayMetrics& metrics;
  };

  [[nodiscard]] std::vector<View> views() const;
  [[nodiscard]] Totals totals() const;
  [[nodiscard]] size_t exchanges_in_flight() const;

  template <class Visit>
  void for_each_link(Visit visit) const {
    for (const Link* link : links())
      visit(*link);
  }

 private:
  class Member;
  friend class Member;

  [[nodiscard]] std::vector<const Link*> links() const;
  [[nodiscard]] Member* serving(const std::string& name) const;
  [[nodiscard]] bool has_name(const std::string& name, const Member* besides) const;
  void add(const GatewayOptions& options, const Desired& desired);
  void replace(Member& old, const GatewayOptions& options, const Desired& desired);
  void on_link_state(Member& member, const Link& link, LinkState state);
  void review();
  void hand_over(Member& old);
  void forget(Member& member);
  void divide_quotas();
  void measure_if_told();
  void note_attached(const std::string& name);
  [[nodiscard]] Gauge& in_role(const char* role);
  void count_roles();

  Surroundings around_;
  Listener& listener_;
  bool is_leaving_ = false;
  bool all_closed_told_ = false;
  Totals gone_;
  Milliseconds drain_timeout_{30'000};
  LoadMeter load_;  // Only while a member reports it.
  std::vector<std::unique_ptr<Member>> members_;
  EndOfTurn review_;
};

}  // namespace ptth
