#include "agent/gateway_member.h"

#include "agent/profiles.h"
#include "agent/relay/reporting_origin.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// Whether a hello tells the gateway what is served.
bool announces_serve(const GatewayOptions& options) {
  const bool is_silent =
      options.profile == "haproxy" || options.profile == "direct" || options.profile == "potato";
  return !is_silent && options.hello.origins.matches_all();
}

}  // namespace

GatewaySet::Member::Member(GatewaySet& set, GatewayOptions options, const Desired& desired)
    : set_(set),
      options_(std::move(options)),
      serve_(desired.serve),
      capacity_(desired.capacity),
      first_share_(desired.first_share),
      tokens_(make_token_source()),
      profiles_(make_profiles(options_, serve_, tokens_.get()).value().chosen, options_.automatic),
      metrics_(set.around_.metrics, options_.name),
      quota_({set.around_.loop, set.around_.metrics, set.around_.budget, set.around_.shares},
             options_),
      credentials_({set.around_.log, set.around_.metrics, set.around_.tls_contexts}, options_,
                   desired.expiry_warning),
      deadline_(set.around_.loop, [this] { on_deadline(); }) {
  if (options_.load_report && set.around_.sample) {
    reporting_ = make_reporting_origin(set.around_.origin, set.load_.text());
  }
  tell_profiles();
  if (options_.channels_per_connection > 1) {
    tunnels_ = std::make_unique<TunnelPool>(link_surroundings(*this), options_);
  }
  pool_ = std::make_unique<LinkPool>(
      set.around_.loop, set.around_.metrics,
      LinkPool::Parameters{
          options_.name, options_.connections, pool_options(),
          [this](uint32_t index, Link::Listener& listener) { return make_link(index, listener); }},
      static_cast<Link::Listener&>(*this));
  if (tokens_) {
    tokens_->start();
  } else {
    start_links();
  }
}

GatewaySet::Member::~Member() {
  end();
  // Counts in the metrics that are forgotten next.
  tunnels_.reset();
  set_.forget(*this);
}

bool GatewaySet::Member::can_become(const GatewayOptions& options, const Desired& desired) const {
  return is_retuning(options_, options) && (serve_ == desired.serve || !announces_serve(options_));
}

bool GatewaySet::Member::become(const GatewayOptions& options, const Desired& desired) {
  first_share_ = desired.first_share;
  if (options_ == options && capacity_ == desired.capacity) return false;
  capacity_ = desired.capacity;
  retune(options_, options);
  pool_->retune(options_.connections, pool_options());
  return true;
}

void GatewaySet::Member::note_refused() {
  if (tokens_) tokens_->note_refused();
}

void GatewaySet::Member::look_at_credentials(int64_t now) {
  if (role_ == Role::kDraining) return;
  if (tokens_) tokens_->look();
  if (!credentials_.look(now)) return;
  for (const auto& link : pool_->links())
    link->renew("credentials have changed");
}

void GatewaySet::Member::supersede(Milliseconds handover_timeout) {
  role_ = Role::kSuperseded;
  if (handover_timeout.count() > 0) deadline_.start(handover_timeout);
}

void GatewaySet::Member::drain(Milliseconds at_most, std::string_view reason) {
  if (role_ == Role::kDraining) return;
  role_ = Role::kDraining;
  set_.around_.log.info(
      "gateway draining",
      {{"gateway", name()}, {"reason", reason}, {"in_flight", uint64_t{exchanges_in_flight()}}});
  deadline_.stop();
  if (at_most.count() > 0) deadline_.start(at_most);
  pool_->drain();
}

void GatewaySet::Member::abort() {
  if (std::exchange(is_aborted_, true)) return;
  role_ = Role::kDraining;
  deadline_.stop();
  set_.gone_.cut += exchanges_in_flight();
  pool_->abort();
}

size_t GatewaySet::Member::links_in(LinkState state) const {
  const auto& links = pool_->links();
  return static_cast<size_t>(std::count_if(links.begin(), links.end(), [&](const auto& link) {
    return link && link->state() == state;
  }));
}

bool GatewaySet::Member::is_closed() const {
  return links_in(LinkState::kClosed) == pool_->links().size();
}

bool GatewaySet::Member::can_replace(size_t links) const {
  const size_t most = std::max<size_t>(options_.connections, 1);
  return links_in(LinkState::kAttached) >= std::clamp<size_t>(links, 1, most);
}

size_t GatewaySet::Member::exchanges_in_flight() const {
  size_t count = 0;
  for (const auto& link : pool_->links()) {
    if (link) count += link->exchanges_in_flight();
  }
  return count;
}

LinkPoolOptions GatewaySet::Member::pool_options() const {
  LinkPoolOptions pool = options_.pool;
  // With HTTP/1.1 nothing waits: what is left when the other gateways have their reserve.
  if (pool.max == 0) pool.max = set_.around_.shares.most_for(quota_.capacity(), capacity_);
  return pool;
}

std::unique_ptr<TokenSource> GatewaySet::Member::make_token_source() {
  if (!options_.auth.oauth.given()) return nullptr;
  const Surroundings& around = set_.around_;
  return std::make_unique<TokenSource>(
      TokenSource::Surroundings{around.loop, around.log, around.metrics, around.fetcher},
      options_.name, options_.auth.oauth, options_.backoff,
      [this](TokenSource::Outcome outcome) { on_token_fetched(outcome); });
}

// Links wait for the first answer of the token endpoint, so that their first dial does not fail
// for want of a token; but not for a better one.
void GatewaySet::Member::on_token_fetched(TokenSource::Outcome outcome) {
  if (role_ == Role::kDraining) return;
  start_links();
  if (outcome != TokenSource::Outcome::kToken) return;
  for (const auto& link : pool_->links())
    link->credentials_arrived();
}

void GatewaySet::Member::start_links() {
  if (!std::exchange(is_started_, true)) pool_->start();
}

// With one, the links say it.
void GatewaySet::Member::tell_profiles() const {
  if (options_.profile != kAutoProfile) return;
  const auto set = make_profiles(options_, serve_, tokens_.get());
  set_.around_.log.info("profiles to try", {{"gateway", options_.name},
                                            {"profiles", profiles_.names()},
                                            {"left_out", set.value().left_out}});
}

Link::Surroundings GatewaySet::Member::link_surroundings(Link::Listener& listener) {
  const Surroundings& around = set_.around_;
  std::function<WorkerFacts()> worker_facts;
  if (around.worker_facts) worker_facts = [this] { return this->worker_facts(); };
  Origin& origin = reporting_ ? *reporting_ : around.origin;
  return {
      around.loop,    origin,      around.log,     around.metrics,      metrics_, quota_.budget(),
      profiles_,      listener,    around.network, around.tls_contexts, {},       &quota_.turn(),
      tunnels_.get(), worker_facts};
}

WorkerFacts GatewaySet::Member::worker_facts() const {
  WorkerFacts facts = set_.around_.worker_facts();
  const CapacityShares::Share& share = quota_.capacity();
  facts.identity = options_.worker_document.identity;
  facts.prefixes = options_.challenge.prefixes;
  facts.share = {set_.around_.shares.most_for(share, facts.all.capacity), share.work.in_hand()};
  facts.draining = role_ == Role::kDraining;
  return facts;
}

std::unique_ptr<Link> GatewaySet::Member::make_link(uint32_t index, Link::Listener& listener) {
  return Link::create(link_surroundings(listener), options_, index,
                      std::min(first_share_, share_max()));
}

void GatewaySet::Member::on_deadline() {
  if (role_ == Role::kSuperseded) {
    set_.around_.log.warn("a changed gateway has no new links in time; the old ones go",
                          {{"gateway", name()}});
    drain(set_.drain_timeout_, "its replacement is not attached in time");
    return;
  }
  set_.around_.log.warn("gateway cut at the end of its drain",
                        {{"gateway", name()}, {"in_flight", uint64_t{exchanges_in_flight()}}});
  abort();
}

}  // namespace ptth
