#pragma once

// GatewaySet::Member: one gateway with one set of options, and its links. The set makes it, tells
// it what becomes of it, and forgets it once its links are closed.

#include "agent/gateway_quota.h"
#include "agent/gateway_set.h"
#include "agent/link/credential_watch.h"
#include "agent/link/link_pool.h"
#include "agent/link/profile_chooser.h"
#include "agent/link/token_source.h"
#include "agent/link/tunnel_pool.h"
#include "agent/relay/relay_metrics.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ptth {

class GatewaySet::Member final : private Link::Listener {
 public:
  // kSuperseded: works until the links that replace it are attached.
  enum class Role { kServing, kSuperseded, kDraining };

  // The configuration was accepted, so there is such a profile.
  Member(GatewaySet& set, GatewayOptions options, const Desired& desired);
  // Links go before what they borrow; this is retired, and so goes after what they have retired.
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  Member(Member&&) = delete;
  Member& operator=(Member&&) = delete;

  void end() { pool_.reset(); }

  [[nodiscard]] const std::string& name() const { return options_.name; }

  [[nodiscard]] Role role() const { return role_; }

  [[nodiscard]] const LinkPool& pool() const { return *pool_; }

  [[nodiscard]] const RelayMetrics& metrics() const { return metrics_; }

  [[nodiscard]] View view() const { return {options_, pool_->links(), metrics_}; }

  [[nodiscard]] GatewayQuota& quota() { return quota_; }

  // New options that need no new connection.
  [[nodiscard]] bool can_become(const GatewayOptions& options, const Desired& desired) const;
  // False: they are what they were.
  bool become(const GatewayOptions& options, const Desired& desired);

  // Of what a link advertises. The reserve of the others is admission's to keep: what is too much
  // waits there.
  [[nodiscard]] uint32_t share_max() const {
    return options_.exchanges_max == 0 ? UINT32_MAX : options_.exchanges_max;
  }

  [[nodiscard]] bool reports_load() const { return reporting_ != nullptr; }

  void note_refused();
  void look_at_credentials(int64_t now);

  void supersede(Milliseconds handover_timeout);
  // At most for so long, if that is not 0.
  void drain(Milliseconds at_most, std::string_view reason);
  void abort();

  [[nodiscard]] size_t links_in(LinkState state) const;
  [[nodiscard]] bool is_closed() const;
  // Enough of it is attached to take the place of so many links.
  [[nodiscard]] bool can_replace(size_t links) const;
  [[nodiscard]] size_t exchanges_in_flight() const;

 private:
  void on_link_state(const Link& link, LinkState state) override {
    set_.on_link_state(*this, link, state);
  }

  [[nodiscard]] LinkPoolOptions pool_options() const;
  [[nodiscard]] std::unique_ptr<TokenSource> make_token_source();
  void on_token_fetched(TokenSource::Outcome outcome);
  void start_links();
  void tell_profiles() const;
  [[nodiscard]] Link::Surroundings link_surroundings(Link::Listener& listener);
  [[nodiscard]] WorkerFacts worker_facts() const;
  [[nodiscard]] std::unique_ptr<Link> make_link(uint32_t index, Link::Listener& listener);
  void on_deadline();

  GatewaySet& set_;
  GatewayOptions options_;
  const ServedAuthorities serve_;
  uint32_t capacity_;
  uint32_t first_share_;
  std::unique_ptr<TokenSource> tokens_;  // Null without OAuth.
  ProfileChooser profiles_;
  RelayMetrics metrics_;
  GatewayQuota quota_;
  CredentialWatch credentials_;
  std::unique_ptr<Origin> reporting_;  // Null where the load is not told.
  Role role_ = Role::kServing;
  bool is_started_ = false;  // The pool is.
  bool is_aborted_ = false;
  // Uses all of the above.
  std::unique_ptr<TunnelPool> tunnels_;  // Where links share connections.
  std::unique_ptr<LinkPool> pool_;
  Timer deadline_;
};

}  // namespace ptth
