#include "agent/agent.h"

#include "agent/admin.h"
#include "agent/capacity_desk.h"
#include "agent/config.h"
#include "agent/discovery.h"
#include "agent/exit_code.h"
#include "agent/gateway_set.h"
#include "agent/health.h"
#include "agent/link/link.h"
#include "agent/process_metrics.h"
#include "agent/relay/budget.h"
#include "agent/relay/capacity_share.h"
#include "agent/relay/capacity_shares.h"
#include "agent/reload.h"
#include "agent/serving.h"
#include "agent/status_desk.h"
#include "agent/status_history.h"
#include "agent/version.h"
#include "common/fetch.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/network.h"
#include "common/signals.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
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

// How long the agent stays for who asked for its drain, and once the receipt has been read.
constexpr Milliseconds kReceiptGrace{2'000};
constexpr Milliseconds kReceiptSent{100};

// That there may be: auto and the application say less.
uint32_t most_capacity(const CapacityOptions& options) {
  return options.limit == 0 ? options.gradient.ceiling : options.limit;
}

ServingOptions serving_options(const Config& config) {
  return {config.origin, config.admission, config.serve};
}

class Agent final : private GatewaySet::Listener {
 public:
  Agent(Loop& loop, const LoadedConfig& loaded, const FileStamp& stamp, const ConfigOrigin& origin,
        Log& log)
      : loop_(loop),
        started_with_(loaded),
        loaded_(loaded),
        log_(log),
        budget_{config().buffer_bytes, 0},
        shares_(metrics_, config().capacity_reserve),
        network_(make_system_network(loop)),
        fetcher_(make_fetcher(loop, *network_)),
        discovery_(loop, log, metrics_, *network_, [this] { on_discovered(); }),
        serving_({loop, metrics_, *network_, shares_}, serving_options(config())),
        capacity_desk_(serving_, log),
        worker_id_(make_worker_id()),
        history_(loop, [this] { return measure(); }),
        gateways_({loop, log, metrics_, serving_.entrance(), budget_, shares_, *network_, *fetcher_,
                   tls_contexts_, worker_id_, [this] { return worker_facts(); },
                   [this] { return measure(); }},
                  static_cast<GatewaySet::Listener&>(*this)),
        health_(loop, [this] { return look(); }),
        desk_(
            health_, [this] { return report(); }, [this] { drain_for_admin(); }),
        loop_lag_(loop, metrics_),
        reload_(loop, log, metrics_, origin, stamp,
                [this](LoadedConfig&& valid, std::string_view reason) {
                  return change_to(std::move(valid), reason);
                }),
        credentials_(loop, [this] { look_at_credentials(); }),
        sharing_(loop, [this] { share_capacity(); }),
        startup_(loop, [this] { on_startup_timeout(); }),
        drain_deadline_(loop, [this] { gateways_.abort(); }),
        receipt_grace_(loop, [this] { finish_drained(); }) {
    register_process_metrics(metrics_, log);
  }

  // What it measures goes before it does.
  ~Agent() { history_.stop(); }

  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  Agent(Agent&&) = delete;
  Agent& operator=(Agent&&) = delete;

  int run();

 private:
  enum class Phase { kServing, kDraining, kStopping };

  void on_gateway_attached(const Link& link) override;
  void on_credentials_refused(const Link& link) override;
  void on_link_trouble(const Link& link) override;

  void on_link_changed(const Link& link, LinkState state) override { history_.note(link, state); }

  void on_gateway_gone(const std::string& name) override { history_.forget(name); }

  void on_all_closed() override;

  [[nodiscard]] const Config& config() const { return loaded_.config; }

  void announce_start();
  void warn_of_configuration();
  [[nodiscard]] bool start_admin();
  [[nodiscard]] Health::Facts look();
  [[nodiscard]] StatusReport::Sample measure();
  [[nodiscard]] StatusReport report();
  [[nodiscard]] WorkerFacts worker_facts();
  void on_discovered();
  GatewaySet::Changes apply_gateways();
  [[nodiscard]] uint32_t first_share_of(const std::vector<GatewayOptions>& gateways);
  Reload::Outcome change_to(LoadedConfig&& valid, std::string_view reason);
  void look_at_credentials();
  void share_capacity();
  void on_signal(int number);
  void drain();
  void drain_for_admin();
  void finish_drained();
  void stop_now();
  void on_startup_timeout();
  void finish(ExitCode code);
  void write_receipt();
  void dump_state();

  Loop& loop_;
  const LoadedConfig& started_with_;
  LoadedConfig loaded_;  // In force.
  Log& log_;
  Metrics metrics_;
  Budget budget_;
  CapacityShares shares_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Fetcher> fetcher_;
  TlsContexts tls_contexts_;
  Discovery discovery_;
  Serving serving_;
  CapacityDesk capacity_desk_;
  const std::string worker_id_;
  Phase phase_ = Phase::kServing;
  bool has_attached_ = false;
  uint64_t cut_before_leaving_ = 0;
  std::optional<ExitCode> exit_code_;
  StatusHistory history_;
  // Links use all of the above.
  GatewaySet gateways_;
  Health health_;
  StatusDesk desk_;
  LoopLag loop_lag_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<Signals> signals_;
  Reload reload_;
  Timer credentials_;
  Timer sharing_;
  Timer startup_;
  Timer drain_deadline_;
  // The admin listener was asked for the drain, so that somebody wants to read its receipt.
  bool receipt_wanted_ = false;
  std::optional<StatusReport::Receipt> receipt_;
  Timer receipt_grace_;
};

int Agent::run() {
  announce_start();
  if (!start_admin()) return kExitConfiguration;
  signals_ = Signals::watch(loop_, {SIGTERM, SIGINT, SIGUSR1, SIGHUP},
                            [this](int number) { on_signal(number); });
  discovery_.configure(config());
  apply_gateways();
  look_at_credentials();
  share_capacity();
  reload_.note_in_force(loaded_);
  reload_.watch(config().reload_interval);
  if (config().startup_timeout.count() > 0) startup_.start(config().startup_timeout);
  loop_.run();
  return exit_code_.value_or(kExitInternal);
}

void Agent::announce_start() {
  log_.info("agent starting",
            {{"version", version_text()},
             {"worker", worker_id_},
             {"gateways", uint64_t{config().gateways.size()}},
             {"origin", serving_.origin().name()},
             {"capacity", uint64_t{serving_.admission().capacity()}},
             {"capacity_source", to_string(serving_.admission().capacity_source())}});
  warn_of_configuration();
}

void Agent::warn_of_configuration() {
  for (const std::string& warning : config().warnings)
    log_.warn("configuration", {{"detail", warning}});
}

bool Agent::start_admin() {
  if (config().admin.listen.empty()) return true;
  auto started = Admin::start(loop_, desk_, metrics_, config().admin, &capacity_desk_);
  if (!started.ok()) {
    log_.error("no admin listener: choose another address with --admin, or --admin off",
               {{"detail", started.error().detail}});
    return false;
  }
  admin_ = std::move(started).value();
  log_.info("admin listening", {{"address", config().admin.listen}, {"port", admin_->port()}});
  return true;
}

Health::Facts Agent::look() {
  Health::Facts facts;
  gateways_.for_each_link([&](const Link& link) {
    if (phase_ == Phase::kServing && link.state() == LinkState::kDraining) return;
    if (link.state() == LinkState::kClosed) return;
    ++facts.links;
    if (link.state() == LinkState::kAttached) ++facts.links_attached;
  });
  facts.origin_reachable = serving_.origin().reachable();
  facts.origin = serving_.origin().name();
  if (phase_ != Phase::kServing) facts.phase = Health::Facts::Phase::kLeaving;
  return facts;
}

StatusReport::Sample Agent::measure() {
  const Admission& admission = serving_.admission();
  StatusReport::Sample sample;
  sample.in_flight = admission.in_flight();
  sample.capacity = admission.capacity();
  sample.queued = admission.queued();
  for (const GatewaySet::View& gateway : gateways_.views())
    add_exchanges(sample, gateway.metrics);
  return sample;
}

StatusReport Agent::report() {
  StatusReport report;
  report.worker = worker_id_;
  report.version = version_text();
  report.phase = phase_ == Phase::kServing ? "serving" : receipt_ ? "drained" : "draining";
  report.uptime_seconds = history_.uptime_seconds();
  report.origin = serving_.origin().name();
  report.origin_reachable = serving_.origin().reachable();
  report.now = measure();
  report.sample_seconds = std::chrono::duration<double>(StatusHistory::kSampleInterval).count();
  report.samples = history_.samples();
  std::vector<const RelayMetrics*> relayed;
  for (const GatewaySet::View& gateway : gateways_.views()) {
    relayed.push_back(&gateway.metrics);
    report.gateways.push_back(
        describe_gateway(gateway.options, gateway.links, gateway.metrics, history_));
  }
  report.phases = describe_phases(serving_.admission().queue_age_seconds(),
                                  serving_.origin().connect_seconds(), relayed);
  report.receipt = receipt_;
  // Who asked for the drain knows now.
  if (receipt_) receipt_grace_.start(kReceiptSent);
  report.warnings.assign(log_.recent_warnings().begin(), log_.recent_warnings().end());
  return report;
}

WorkerFacts Agent::worker_facts() {
  const Admission& admission = serving_.admission();
  WorkerFacts facts;
  facts.instance = worker_id_;
  facts.version = kVersion;
  for (const ServedOrigin& origin : config().serve.origins())
    facts.origins.push_back(to_string(origin));
  facts.all = {admission.capacity(), admission.in_flight()};
  facts.queued = admission.queued();
  return facts;
}

void Agent::on_discovered() {
  if (phase_ == Phase::kServing) apply_gateways();
}

GatewaySet::Changes Agent::apply_gateways() {
  shares_.set_reserve(config().capacity_reserve);
  GatewaySet::Desired desired;
  desired.gateways = discovery_.gateways(config());
  desired.serve = config().serve;
  desired.capacity = most_capacity(config().admission.capacity);
  desired.first_share = first_share_of(desired.gateways);
  desired.expiry_warning = config().expiry_warning;
  desired.drain_timeout = config().drain_timeout;
  desired.handover_timeout = config().handover_timeout;
  return gateways_.apply(desired);
}

uint32_t Agent::first_share_of(const std::vector<GatewayOptions>& gateways) {
  uint32_t links = 0;
  for (const GatewayOptions& options : gateways)
    links += options.connections;
  return first_share(std::max(links, 1U), serving_.admission().capacity(),
                     config().shares.overcommit_percent);
}

void Agent::share_capacity() {
  sharing_.start(config().shares.interval);
  gateways_.share_capacity(serving_.admission().capacity(), config().shares.overcommit_percent);
}

// Exchanges under way notice nothing of it.
Reload::Outcome Agent::change_to(LoadedConfig&& valid, std::string_view reason) {
  if (phase_ != Phase::kServing) {
    log_.warn("the configuration is not changed: the agent is leaving", {{"reason", reason}});
    return Reload::Outcome::kRefused;
  }
  const std::string keys = changed_keys(loaded_, valid);
  const std::string for_restart = keys_for_restart(started_with_, valid);
  loaded_ = std::move(valid);
  log_.set_level(config().log.level);
  budget_.limit_bytes = config().buffer_bytes;
  serving_.change(serving_options(config()));
  discovery_.configure(config());
  const GatewaySet::Changes changes = apply_gateways();
  look_at_credentials();
  reload_.watch(config().reload_interval);
  reload_.note_in_force(loaded_);
  log_.info("configuration reloaded", {{"reason", reason},
                                       {"changed", keys},
                                       {"gateways_added", uint64_t{changes.added}},
                                       {"gateways_removed", uint64_t{changes.removed}},
                                       {"gateways_replaced", uint64_t{changes.replaced}},
                                       {"gateways_retuned", uint64_t{changes.retuned}},
                                       {"gateways_unchanged", uint64_t{changes.unchanged}}});
  if (!for_restart.empty()) {
    log_.warn("these settings are read at the start only: restart the agent for them",
              {{"settings", for_restart}});
  }
  warn_of_configuration();
  return Reload::Outcome::kApplied;
}

void Agent::look_at_credentials() {
  if (config().credentials_interval.count() <= 0) {
    credentials_.stop();
    return;
  }
  gateways_.look_at_credentials(std::time(nullptr));
  credentials_.start(config().credentials_interval);
}

void Agent::on_gateway_attached(const Link& link) {
  discovery_.note_attached(link.gateway());
  if (!std::exchange(has_attached_, true)) startup_.stop();
}

void Agent::on_credentials_refused(const Link& link) {
  if (!config().exit_on_auth_failure || phase_ != Phase::kServing) return;
  log_.error("credentials refused, leaving",
             {{"gateway", link.gateway()}, {"detail", link.last_error()}});
  finish(kExitCredentialsRefused);
}

void Agent::on_link_trouble(const Link& link) {
  discovery_.note_trouble(link.gateway());
}

void Agent::on_all_closed() {
  write_receipt();
  if (!receipt_wanted_) return finish_drained();
  const GatewaySet::Totals totals = gateways_.totals();
  receipt_ = {totals.served, totals.refused, totals.cut};
  receipt_grace_.start(kReceiptGrace);
}

void Agent::finish_drained() {
  const bool cut = gateways_.totals().cut > cut_before_leaving_;
  finish(cut && phase_ == Phase::kDraining ? kExitCut : kExitClean);
}

void Agent::on_signal(int number) {
  switch (number) {
    case SIGUSR1:
      dump_state();
      break;
    case SIGHUP:
      reload_.request("SIGHUP");
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
  cut_before_leaving_ = gateways_.totals().cut;
  log_.info("draining", {{"in_flight", uint64_t{gateways_.exchanges_in_flight()}},
                         {"timeout_ms", int64_t{config().drain_timeout.count()}}});
  drain_deadline_.start(config().drain_timeout);
  gateways_.drain();
}

// A drain that is under way goes on as it is.
void Agent::drain_for_admin() {
  receipt_wanted_ = true;
  if (phase_ == Phase::kServing) drain();
}

void Agent::stop_now() {
  if (receipt_) return finish_drained();
  phase_ = Phase::kStopping;
  gateways_.abort();
}

void Agent::on_startup_timeout() {
  log_.error("no gateway attached within the start-up time",
             {{"timeout_ms", int64_t{config().startup_timeout.count()}}});
  finish(kExitNoGateway);
}

void Agent::finish(ExitCode code) {
  if (exit_code_) return;
  exit_code_ = code;
  loop_.stop();
}

void Agent::write_receipt() {
  const GatewaySet::Totals totals = gateways_.totals();
  log_.info(
      "receipt",
      {{"served", totals.served}, {"refused_replayable", totals.refused}, {"cut", totals.cut}});
}

void Agent::dump_state() {
  gateways_.for_each_link([this](const Link& link) {
    log_.info("link", {{"gateway", link.gateway()},
                       {"link", link.id()},
                       {"state", to_string(link.state())},
                       {"in_flight", uint64_t{link.exchanges_in_flight()}},
                       {"last_error", link.last_error()}});
  });
  log_.info("state", {{"buffered_bytes", uint64_t{budget_.used_bytes}},
                      {"origin", serving_.origin().name()},
                      {"origin_reachable", serving_.origin().reachable()}});
}

}  // namespace

int run_agent(const LoadedConfig& loaded, const FileStamp& stamp, const ConfigOrigin& origin) {
  raise_descriptor_limit();
  Log log(loaded.config.log);
  Loop loop;
  int code = kExitInternal;
  {
    Agent agent(loop, loaded, stamp, origin, log);
    code = agent.run();
  }
  return code;
}

}  // namespace ptth
