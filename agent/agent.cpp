#include "agent/agent.h"

#include "agent/admin.h"
#include "agent/config.h"
#include "agent/exit_code.h"
#include "agent/health.h"
#include "agent/link/credential_watch.h"
#include "agent/link/link.h"
#include "agent/link/link_pool.h"
#include "agent/origin/http_origin.h"
#include "agent/process_metrics.h"
#include "agent/profiles.h"
#include "agent/relay/admission.h"
#include "agent/relay/budget.h"
#include "agent/relay/relay_metrics.h"
#include "agent/relay/router.h"
#include "agent/version.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/network.h"
#include "common/signals.h"

#include <csignal>
#include <ctime>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <sys/resource.h>
#include <utility>
#include <vector>

namespace ptth {

namespace {

// Differs in every process, so that only a real loop is taken for one.
std::string make_worker_id() {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device random;
  std::string id = "ptth-agent-";
  for (int digit = 0; digit < 8; ++digit)
    id += kDigits[random() % kDigits.size()];
  return id;
}

// Each exchange needs a descriptor; the soft limit of 1024 is for programs that use select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// What one gateway's links share.
struct Gateway {
  // The configuration was accepted, so there is such a profile.
  Gateway(const GatewayOptions& gateway_options, const Config& config,
          const CredentialWatch::Surroundings& around)
      : options(gateway_options),
        profile(make_profile(options, config.serve).value()),
        metrics(around.metrics, options.name),
        credentials(around, options, config.expiry_warning) {}

  GatewayOptions options;
  std::unique_ptr<Profile> profile;
  RelayMetrics metrics;
  CredentialWatch credentials;
  std::unique_ptr<LinkPool> pool;
};

class Agent final : private Link::Listener {
 public:
  Agent(Loop& loop, const Config& config, Log& log)
      : loop_(loop),
        config_(config),
        log_(log),
        budget_{config.buffer_bytes, 0},
        network_(make_system_network(loop)),
        origin_(make_http_origin(loop, *network_, metrics_, config.origin)),
        admission_(make_admission(loop, metrics_, *origin_, {config.capacity}, origin_work_)),
        router_(make_router(loop, *admission_, config.serve)),
        worker_id_(make_worker_id()),
        health_(loop, [this] { return look(); }),
        loop_lag_(loop, metrics_),
        credentials_(loop, [this] { look_at_credentials(); }),
        startup_(loop, [this] { on_startup_timeout(); }),
        drain_deadline_(loop, [this] { on_drain_deadline(); }) {
    register_process_metrics(metrics_, log);
  }

  ~Agent() {
    // Links go before what they borrow, and what they have retired goes while that still stands.
    for (const auto& gateway : gateways_)
      gateway->pool.reset();
    loop_.turn();
  }

  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  Agent(Agent&&) = delete;
  Agent& operator=(Agent&&) = delete;

  int run();

 private:
  enum class Phase { kServing, kDraining, kStopping };

  void on_link_state(const Link& link, LinkState state) override;

  void announce_start();
  [[nodiscard]] bool start_admin();
  [[nodiscard]] Health::Facts look();
  void start_links(Gateway& gateway);
  void look_at_credentials();
  void on_signal(int number);
  void drain();
  void stop_now();
  void on_startup_timeout();
  void on_drain_deadline();
  void finish(ExitCode code);
  void write_receipt();
  void dump_state();

  template <class Visit>
  void for_each_link(Visit visit) {
    for (const auto& gateway : gateways_) {
      for (const auto& link : gateway->pool->links())
        visit(*link);
    }
  }

  Loop& loop_;
  const Config& config_;
  Log& log_;
  Metrics metrics_;
  Budget budget_;
  std::unique_ptr<Network> network_;
  TlsContexts tls_contexts_;
  uint32_t origin_work_ = 0;
  std::unique_ptr<HttpOrigin> origin_;
  std::unique_ptr<Origin> admission_;
  std::unique_ptr<Origin> router_;
  const std::string worker_id_;
  Phase phase_ = Phase::kServing;
  bool has_attached_ = false;
  size_t exchanges_cut_ = 0;
  std::optional<ExitCode> exit_code_;
  // Links use all of the above.
  std::vector<std::unique_ptr<Gateway>> gateways_;
  Health health_;
  LoopLag loop_lag_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<Signals> signals_;
  Timer credentials_;
  Timer startup_;
  Timer drain_deadline_;
};

int Agent::run() {
  announce_start();
  if (!start_admin()) return kExitConfiguration;
  signals_ = Signals::watch(loop_, {SIGTERM, SIGINT, SIGUSR1, SIGHUP},
                            [this](int number) { on_signal(number); });
  for (const GatewayOptions& options : config_.gateways) {
    gateways_.push_back(std::make_unique<Gateway>(
        options, config_, CredentialWatch::Surroundings{log_, metrics_, tls_contexts_}));
    start_links(*gateways_.back());
  }
  look_at_credentials();
  if (config_.startup_timeout.count() > 0) startup_.start(config_.startup_timeout);
  loop_.run();
  return exit_code_.value_or(kExitInternal);
}

void Agent::announce_start() {
  log_.info("agent starting", {{"version", version_text()},
                               {"worker", worker_id_},
                               {"gateways", uint64_t{config_.gateways.size()}},
                               {"origin", origin_->name()},
                               {"capacity", uint64_t{config_.capacity}}});
  for (const std::string& warning : config_.warnings)
    log_.warn("configuration", {{"detail", warning}});
}

bool Agent::start_admin() {
  if (config_.admin.listen.empty()) return true;
  auto started = Admin::start(loop_, health_, metrics_, config_.admin);
  if (!started.ok()) {
    log_.error("no admin listener: choose another address with --admin, or --admin off",
               {{"detail", started.error().detail}});
    return false;
  }
  admin_ = std::move(started).value();
  log_.info("admin listening", {{"address", config_.admin.listen}, {"port", admin_->port()}});
  return true;
}

Health::Facts Agent::look() {
  Health::Facts facts;
  for_each_link([&](const Link& link) {
    ++facts.links;
    if (link.state() == LinkState::kAttached) ++facts.links_attached;
  });
  facts.origin_reachable = origin_->reachable();
  facts.origin = origin_->name();
  if (phase_ != Phase::kServing) facts.phase = Health::Facts::Phase::kLeaving;
  return facts;
}

void Agent::start_links(Gateway& gateway) {
  gateway.options.rules.worker_id = worker_id_;
  LinkPoolOptions pool = gateway.options.pool;
  if (pool.max == 0) pool.max = config_.capacity;
  const auto make_link = [this, &gateway](uint32_t index, Link::Listener& listener) {
    const Link::Surroundings surroundings{
        loop_,    *router_,  log_,          metrics_, gateway.metrics, budget_, *gateway.profile,
        listener, *network_, tls_contexts_, {}};
    return Link::create(surroundings, gateway.options, index, config_.capacity);
  };
  gateway.pool = std::make_unique<LinkPool>(
      loop_, metrics_,
      LinkPool::Parameters{gateway.options.name, gateway.options.connections, pool, make_link},
      static_cast<Link::Listener&>(*this));
  gateway.pool->start();
}

void Agent::look_at_credentials() {
  if (config_.credentials_interval.count() <= 0) return;
  for (const auto& gateway : gateways_) {
    if (!gateway->credentials.look(std::time(nullptr))) continue;
    for (const auto& link : gateway->pool->links())
      link->renew("credentials have changed");
  }
  credentials_.start(config_.credentials_interval);
}

void Agent::on_link_state(const Link& link, LinkState state) {
  if (state == LinkState::kAttached && !std::exchange(has_attached_, true)) startup_.stop();
  if (config_.exit_on_auth_failure && link.credentials_refused() && phase_ == Phase::kServing) {
    log_.error("credentials refused, leaving",
               {{"gateway", link.gateway()}, {"detail", link.last_error()}});
    finish(kExitCredentialsRefused);
    return;
  }
  if (state != LinkState::kClosed || phase_ == Phase::kServing) return;
  bool all_closed = true;
  for_each_link([&](const Link& other) { all_closed &= other.state() == LinkState::kClosed; });
  if (!all_closed) return;
  write_receipt();
  finish(exchanges_cut_ > 0 && phase_ == Phase::kDraining ? kExitCut : kExitClean);
}

void Agent::on_signal(int number) {
  switch (number) {
    case SIGUSR1:
      dump_state();
      break;
    case SIGHUP:
      log_.warn("SIGHUP ignored: restart the agent to read its configuration again");
      break;
    default:
      if (phase_ == Phase::kServing && number == SIGTERM) {
        drain();
      } else {
        stop_now();
      }
  }
}

void Agent::drain() {
  phase_ = Phase::kDraining;
  startup_.stop();
  size_t in_flight = 0;
  for_each_link([&](const Link& link) { in_flight += link.exchanges_in_flight(); });
  log_.info("draining", {{"in_flight", uint64_t{in_flight}},
                         {"timeout_ms", int64_t{config_.drain_timeout.count()}}});
  drain_deadline_.start(config_.drain_timeout);
  for (const auto& gateway : gateways_)
    gateway->pool->drain();
}

void Agent::on_drain_deadline() {
  for_each_link([this](const Link& link) { exchanges_cut_ += link.exchanges_in_flight(); });
  for (const auto& gateway : gateways_)
    gateway->pool->abort();
}

void Agent::stop_now() {
  phase_ = Phase::kStopping;
  for_each_link([this](const Link& link) { exchanges_cut_ += link.exchanges_in_flight(); });
  for (const auto& gateway : gateways_)
    gateway->pool->abort();
}

void Agent::on_startup_timeout() {
  log_.error("no gateway attached within the start-up time",
             {{"timeout_ms", int64_t{config_.startup_timeout.count()}}});
  finish(kExitNoGateway);
}

void Agent::finish(ExitCode code) {
  if (exit_code_) return;
  exit_code_ = code;
  loop_.stop();
}

void Agent::write_receipt() {
  uint64_t served = 0;
  uint64_t refused = 0;
  for (const auto& gateway : gateways_) {
    served += gateway->metrics.exchanges[static_cast<size_t>(Verdict::kOk)]->value();
    refused += gateway->metrics.streams_refused.value();
  }
  log_.info(
      "receipt",
      {{"served", served}, {"refused_replayable", refused}, {"cut", uint64_t{exchanges_cut_}}});
}

void Agent::dump_state() {
  for_each_link([this](const Link& link) {
    log_.info("link", {{"gateway", link.gateway()},
                       {"link", link.id()},
                       {"state", to_string(link.state())},
                       {"in_flight", uint64_t{link.exchanges_in_flight()}},
                       {"last_error", link.last_error()}});
  });
  log_.info("state", {{"buffered_bytes", uint64_t{budget_.used_bytes}},
                      {"origin", origin_->name()},
                      {"origin_reachable", origin_->reachable()}});
}

}  // namespace

int run_agent(const Config& config) {
  raise_descriptor_limit();
  Log log(config.log);
  Loop loop;
  int code = kExitInternal;
  {
    Agent agent(loop, config, log);
    code = agent.run();
  }
  return code;
}

}  // namespace ptth
