#include "agent/gateway_set.h"

#include "agent/gateway_member.h"
#include "agent/gateway_quota.h"
#include "agent/relay/capacity_share.h"
#include "agent/relay/relay_metrics.h"
#include "common/check.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ptth {

GatewaySet::GatewaySet(Surroundings around, Listener& listener)
    : around_(std::move(around)),
      listener_(listener),
      load_(around_.loop, LoadMeter::this_machine(),
            [this] {
              return LoadMeter::Reading{around_.sample(), read_cgroup()};
            }),
      review_(around_.loop, [this] { review(); }) {}

GatewaySet::~GatewaySet() {
  review_.cancel();
  load_.stop();
  for (const auto& member : members_)
    member->end();
  // What links have retired borrows from the members.
  around_.loop.turn();
  // Each looks for its name among those that are left.
  while (!members_.empty()) {
    const std::unique_ptr<Member> last = std::move(members_.back());
    members_.pop_back();
  }
}

GatewaySet::Changes GatewaySet::apply(const Desired& desired) {
  Changes changes;
  if (is_leaving_) return changes;
  drain_timeout_ = desired.drain_timeout;
  for (const auto& member : members_) {
    if (member->role() == Member::Role::kDraining) continue;
    const bool stays =
        std::any_of(desired.gateways.begin(), desired.gateways.end(),
                    [&](const GatewayOptions& options) { return options.name == member->name(); });
    if (stays) continue;
    if (member->role() == Member::Role::kServing) ++changes.removed;
    member->drain(drain_timeout_, "it is no longer configured");
  }
  for (GatewayOptions options : desired.gateways) {
    options.rules.worker_id = around_.worker_id;
    Member* member = serving(options.name);
    if (member == nullptr) {
      ++changes.added;
      add(options, desired);
    } else if (member->can_become(options, desired)) {
      ++(member->become(options, desired) ? changes.retuned : changes.unchanged);
    } else {
      ++changes.replaced;
      replace(*member, options, desired);
    }
  }
  divide_quotas();
  measure_if_told();
  review_.schedule();
  return changes;
}

// Members of one name are one gateway.
void GatewaySet::divide_quotas() {
  const auto is_there = [](const auto& member) { return member->role() == Member::Role::kServing; };
  const auto gateways = std::count_if(members_.begin(), members_.end(), is_there);
  for (const auto& member : members_)
    member->quota().divide_by(static_cast<size_t>(gateways));
}

void GatewaySet::measure_if_told() {
  const bool is_told = std::any_of(members_.begin(), members_.end(), [](const auto& member) {
    return member && member->reports_load();
  });
  if (is_told) {
    load_.start();
  } else {
    load_.stop();
  }
}

void GatewaySet::note_attached(const std::string& name) {
  bool is_attached = false;
  GatewayQuota* quota = nullptr;
  for (const auto& member : members_) {
    if (!member || member->name() != name) continue;
    quota = &member->quota();
    is_attached |= member->links_in(LinkState::kAttached) > 0;
  }
  if (quota != nullptr) quota->capacity().is_attached = is_attached;
}

void GatewaySet::add(const GatewayOptions& options, const Desired& desired) {
  members_.push_back(std::make_unique<Member>(*this, options, desired));
}

void GatewaySet::replace(Member& old, const GatewayOptions& options, const Desired& desired) {
  old.supersede(desired.handover_timeout);
  add(options, desired);
}

GatewaySet::Member* GatewaySet::serving(const std::string& name) const {
  for (const auto& member : members_) {
    if (member->role() == Member::Role::kServing && member->name() == name) return member.get();
  }
  return nullptr;
}

bool GatewaySet::has_name(const std::string& name, const Member* besides) const {
  return std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
    return member && member.get() != besides && member->name() == name;
  });
}

void GatewaySet::look_at_credentials(int64_t now) {
  for (const auto& member : members_)
    member->look_at_credentials(now);
}

// Those that are not attached keep a part of what is left, so that there is room when they are.
void GatewaySet::share_capacity(uint32_t capacity, uint32_t overcommit_percent) {
  std::vector<Link*> shared;
  std::vector<uint32_t> most;
  std::vector<ShareDemand> demands;
  for (const auto& member : members_) {
    for (const auto& link : member->pool().links()) {
      const bool is_leaving =
          !link || link->state() == LinkState::kDraining || link->state() == LinkState::kClosed;
      if (is_leaving || link->carries_one_exchange() || link->share() == 0) continue;
      shared.push_back(link.get());
      most.push_back(member->share_max());
      demands.push_back({link->share(), link->take_demand()});
    }
  }
  const std::vector<uint32_t> shares = next_shares(demands, capacity, overcommit_percent);
  for (size_t index = 0; index < shared.size(); ++index) {
    const uint32_t share = std::max(std::min(shares[index], most[index]), 1U);
    if (share != demands[index].share) shared[index]->set_share(share);
  }
}

void GatewaySet::on_link_state(Member& member, const Link& link, LinkState state) {
  review_.schedule();
  listener_.on_link_changed(link, state);
  note_attached(member.name());
  if (state == LinkState::kBackingOff && link.credentials_refused()) member.note_refused();
  if (state == LinkState::kAttached) listener_.on_gateway_attached(link);
  const bool is_failing = state == LinkState::kBackingOff && !link.last_error().empty();
  if (is_failing && member.role() == Member::Role::kServing &&
      member.links_in(LinkState::kAttached) == 0) {
    listener_.on_link_trouble(link);
  }
  if (link.credentials_refused() && member.role() == Member::Role::kServing) {
    listener_.on_credentials_refused(link);
  }
}

void GatewaySet::review() {
  for (const auto& member : members_) {
    if (member->role() == Member::Role::kSuperseded) hand_over(*member);
  }
  if (!is_leaving_) {
    for (auto& member : members_) {
      if (member->role() == Member::Role::kDraining && member->is_closed()) {
        around_.log.info("gateway gone", {{"gateway", member->name()}});
        around_.loop.retire(std::move(member));
      }
    }
    std::erase(members_, nullptr);
    measure_if_told();
  }
  count_roles();
  const bool all_closed = std::all_of(members_.begin(), members_.end(),
                                      [](const auto& member) { return member->is_closed(); });
  if (is_leaving_ && all_closed && !std::exchange(all_closed_told_, true)) {
    listener_.on_all_closed();
  }
}

// Make before break. What was superseded before it was attached has nothing to hand over.
void GatewaySet::hand_over(Member& old) {
  const Member* replacement = serving(old.name());
  CHECK_INVARIANT(replacement != nullptr);
  const size_t attached = old.links_in(LinkState::kAttached);
  if (attached > 0 && !replacement->can_replace(attached)) return;
  old.drain(drain_timeout_, "it has been replaced");
}

// Of a member that ends.
void GatewaySet::forget(Member& member) {
  if (has_name(member.name(), &member)) return;
  const RelayMetrics& metrics = member.metrics();
  gone_.served += metrics.exchanges[static_cast<size_t>(Verdict::kOk)]->value();
  gone_.refused += metrics.streams_refused.value();
  listener_.on_gateway_gone(member.name());
  around_.shares.forget_metrics(member.name());
  around_.metrics.forget("gateway", member.name());
}

void GatewaySet::drain() {
  is_leaving_ = true;
  for (const auto& member : members_)
    member->drain(Milliseconds(0), "the agent leaves");
  review_.schedule();
}

void GatewaySet::abort() {
  is_leaving_ = true;
  for (const auto& member : members_)
    member->abort();
  review_.schedule();
}

GatewaySet::Totals GatewaySet::totals() const {
  Totals totals = gone_;
  for (auto member = members_.begin(); member != members_.end(); ++member) {
    // Members of one name count in the same series.
    const bool is_counted = std::any_of(members_.begin(), member, [&](const auto& before) {
      return before->name() == (*member)->name();
    });
    if (is_counted) continue;
    const RelayMetrics& metrics = (*member)->metrics();
    totals.served += metrics.exchanges[static_cast<size_t>(Verdict::kOk)]->value();
    totals.refused += metrics.streams_refused.value();
  }
  return totals;
}

std::vector<GatewaySet::View> GatewaySet::views() const {
  std::vector<View> views;
  for (const auto& member : members_)
    views.push_back(member->view());
  return views;
}

size_t GatewaySet::exchanges_in_flight() const {
  size_t count = 0;
  for (const auto& member : members_)
    count += member->exchanges_in_flight();
  return count;
}

std::vector<const Link*> GatewaySet::links() const {
  std::vector<const Link*> links;
  for (const auto& member : members_) {
    for (const auto& link : member->pool().links()) {
      if (link) links.push_back(link.get());
    }
  }
  return links;
}

Gauge& GatewaySet::in_role(const char* role) {
  return around_.metrics.gauge("ptth_gateways", "Gateways, by what becomes of their links.",
                               {{"state", role}});
}

void GatewaySet::count_roles() {
  constexpr std::array<std::pair<Member::Role, const char*>, 3> kRoles{
      {{Member::Role::kServing, "serving"},
       {Member::Role::kSuperseded, "superseded"},
       {Member::Role::kDraining, "draining"}}};
  for (const auto& [role, name] : kRoles) {
    const auto count =
        std::count_if(members_.begin(), members_.end(),
                      [wanted = role](const auto& member) { return member->role() == wanted; });
    in_role(name).set(static_cast<double>(count));
  }
}

}  // namespace ptth
