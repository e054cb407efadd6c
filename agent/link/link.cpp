#include "agent/link/link.h"

#include "agent/link/connection.h"
#include "agent/link/link_metrics.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ptth {

namespace {

// Sessions that a gateway has left and that still have exchanges in flight. One more, and the
// oldest is cut.
constexpr size_t kRetiringMax = 4;
// What an aborted session gets to send its last frames.
constexpr Milliseconds kAbortGrace{1'000};

Backoff::Cause cause_of(const Error& error) {
  if (error.kind == ErrorKind::kRefused) return Backoff::Cause::kRefused;
  // What is wrong on our side, such as a file, can be mended at any time, also by machines.
  if (error.kind == ErrorKind::kConfiguration && error.side == Side::kGateway) {
    return Backoff::Cause::kConfiguration;
  }
  return Backoff::Cause::kUnavailable;
}

// The policy of a link over time; each pass is a Connection.
class GatewayLink final : public Link, private Connection::Listener {
 public:
  GatewayLink(const Surroundings& around, const GatewayOptions& options, uint32_t index,
              uint32_t capacity);
  ~GatewayLink() override;
  GatewayLink(const GatewayLink&) = delete;
  GatewayLink& operator=(const GatewayLink&) = delete;
  GatewayLink(GatewayLink&&) = delete;
  GatewayLink& operator=(GatewayLink&&) = delete;

  void start() override { command(Command::kStart); }

  void drain() override { command(Command::kDrain); }

  void abort() override { command(Command::kAbort); }

  void renew(std::string_view reason) override;

  [[nodiscard]] LinkState state() const override { return state_; }

  [[nodiscard]] const std::string& gateway() const override { return options_.name; }

  [[nodiscard]] uint64_t id() const override { return index_; }

  [[nodiscard]] size_t exchanges_in_flight() const override;

  [[nodiscard]] bool carries_one_exchange() const override { return carries_one_exchange_; }

  [[nodiscard]] bool credentials_refused() const override { return credentials_refused_; }

  [[nodiscard]] const std::string& last_error() const override { return last_error_; }

 private:
  // Each outranks those before it.
  enum class Command { kNone, kStart, kDrain, kAbort };

  void on_connection_step(Connection& connection, LinkState step) override;
  void on_connection_leaving(Connection& connection) override;
  void on_connection_load_changed(Connection& connection) override;
  void on_connection_ended(Connection& connection, const Error& error) override;
  void on_connection_redirected(Connection& connection, std::unique_ptr<Detour> detour) override;

  void command(Command command);
  void obey();
  void dial();
  void on_active_ended(Milliseconds attached_for, const Error& error);
  void redial_at_once(Counter& redials, std::string_view reason);
  void back_off(Milliseconds wait, std::string_view reason);
  void plan_renewal(Milliseconds wait, std::string_view reason);
  void plan_renewal_by_age();
  void dial_successor();
  void on_successor_ended(const Error& error);
  void on_successor_redirected(std::unique_ptr<Detour> detour);
  void succeed();
  void retire_active();
  void drop_successor();
  [[nodiscard]] std::unique_ptr<Connection> make_connection();
  void note_failure(const Error& error);
  void note_attached();
  void begin_drain();
  void begin_abort();
  [[nodiscard]] std::vector<Connection*> stop_dialling();
  void close_if_done();
  void discard(std::unique_ptr<Connection> connection);
  void discard_all();
  void transition(LinkState to, std::string_view reason);
  void log_transition(LinkState from, std::string_view reason) const;

  Surroundings around_;
  GatewayOptions options_;
  uint32_t index_;
  uint32_t capacity_;
  LinkMetrics metrics_;
  Random random_;
  Backoff backoff_;
  Backoff renewal_backoff_;
  LinkState state_ = LinkState::kIdle;
  Command wanted_ = Command::kNone;
  bool failing_ = false;  // The last attempt failed, and so is worth a warning.
  bool credentials_refused_ = false;
  bool carries_one_exchange_ = false;
  std::string last_error_;
  Milliseconds wait_{0};
  // For the next dial only.
  std::unique_ptr<Detour> detour_;
  uint32_t redirects_ = 0;  // One after the other.
  std::unique_ptr<Connection> active_;
  // Dialled while active_ is attached, to replace it.
  std::unique_ptr<Connection> successor_;
  std::string renewal_reason_;
  // Left by the gateway, oldest first.
  std::vector<std::unique_ptr<Connection>> retiring_;
  Timer redial_;
  Timer renewal_;
  Timer abort_grace_;
  EndOfTurn obey_;
};

GatewayLink::GatewayLink(const Surroundings& around, const GatewayOptions& options, uint32_t index,
                         uint32_t capacity)
    : around_(around),
      options_(options),
      index_(index),
      capacity_(capacity),
      metrics_(around.metrics, options.name),
      random_(around.random ? around.random : make_random()),
      backoff_(options.backoff, random_),
      renewal_backoff_(options.backoff, random_),
      redial_(around.loop, [this] { dial(); }),
      renewal_(around.loop, [this] { dial_successor(); }),
      abort_grace_(around.loop,
                   [this] {
                     discard_all();
                     close_if_done();
                   }),
      obey_(around.loop, [this] { obey(); }) {
  metrics_.in_state(state_).add(1);
}

GatewayLink::~GatewayLink() {
  metrics_.in_state(state_).add(-1);
  if (credentials_refused_) metrics_.credentials_refused.add(-1);
}

size_t GatewayLink::exchanges_in_flight() const {
  size_t count = active_ ? active_->exchanges_in_flight() : 0;
  for (const auto& connection : retiring_)
    count += connection->exchanges_in_flight();
  return count;
}

void GatewayLink::command(Command command) {
  wanted_ = std::max(wanted_, command);
  obey_.schedule();
}

void GatewayLink::obey() {
  if (state_ == LinkState::kClosed) return;
  switch (wanted_) {
    case Command::kNone:
      return;
    case Command::kStart:
      if (state_ == LinkState::kIdle) dial();
      return;
    case Command::kDrain:
      if (state_ != LinkState::kDraining) begin_drain();
      return;
    case Command::kAbort:
      begin_abort();
      return;
  }
}

std::unique_ptr<Connection> GatewayLink::make_connection() {
  metrics_.dials.add();
  return std::make_unique<Connection>(
      Connection::Parameters{around_, options_, index_, capacity_, id(), std::move(detour_)},
      static_cast<Connection::Listener&>(*this));
}

void GatewayLink::dial() {
  active_ = make_connection();
  transition(active_->step(), "dial");
}

void GatewayLink::on_connection_step(Connection& connection, LinkState step) {
  if (step == LinkState::kAttached) carries_one_exchange_ = connection.carries_one_exchange();
  if (&connection == successor_.get()) {
    if (step == LinkState::kAttached) succeed();
    return;
  }
  if (state_ == LinkState::kDraining || &connection != active_.get()) return;
  if (step == LinkState::kAttached) note_attached();
  transition(step, "");
}

// Make before break: the session goes on with what it has while the next one is dialled.
void GatewayLink::on_connection_leaving(Connection& connection) {
  if (state_ != LinkState::kAttached || &connection != active_.get()) return;
  drop_successor();
  retire_active();
  redial_at_once(metrics_.redials_after_leaving, "the gateway sends no new requests here");
}

void GatewayLink::on_connection_load_changed(Connection& /*connection*/) {
  around_.listener.on_link_load_changed(*this);
}

void GatewayLink::retire_active() {
  backoff_.was_attached(active_->attached_for());
  if (retiring_.size() == kRetiringMax) {
    discard(std::move(retiring_.front()));
    retiring_.erase(retiring_.begin());
  }
  retiring_.push_back(std::move(active_));
}

void GatewayLink::on_connection_ended(Connection& connection, const Error& error) {
  if (&connection == successor_.get()) {
    on_successor_ended(error);
    return;
  }
  if (&connection == active_.get()) {
    const Milliseconds attached_for = active_->attached_for();
    backoff_.was_useful(active_->exchanges_answered());
    discard(std::move(active_));
    if (state_ != LinkState::kDraining) {
      on_active_ended(attached_for, error);
      return;
    }
  } else {
    const auto found = std::find_if(retiring_.begin(), retiring_.end(), [&](const auto& candidate) {
      return candidate.get() == &connection;
    });
    CHECK_INVARIANT(found != retiring_.end());
    discard(std::move(*found));
    retiring_.erase(found);
  }
  close_if_done();
}

// What we asked for is elsewhere, or not there yet: no failure, as long as it comes to an end.
void GatewayLink::on_connection_redirected(Connection& connection, std::unique_ptr<Detour> detour) {
  if (&connection == successor_.get()) {
    on_successor_redirected(std::move(detour));
    return;
  }
  CHECK_INVARIANT(&connection == active_.get() && state_ == LinkState::kReversing);
  const Milliseconds waited = active_->age();
  const bool is_moved = connection.is_moved();
  discard(std::move(active_));
  detour_ = std::move(detour);
  if (!is_moved) {
    backoff_.was_attached(waited);
    redial_at_once(metrics_.redials_to_ask_again, "the gateway had nothing for us, and closes");
  } else if (++redirects_ <= options_.hello.redirects_max) {
    redial_at_once(metrics_.redials_elsewhere, "the gateway sends us to " + detour_->host);
  } else {
    on_active_ended({}, {ErrorKind::kConfiguration, Side::kGateway,
                         "the gateway sends us from place to place", false});
  }
}

void GatewayLink::on_active_ended(Milliseconds attached_for, const Error& error) {
  drop_successor();
  if (state_ == LinkState::kAttached) {
    backoff_.was_attached(attached_for);
    // HAProxy closes idle links with a bare end, all the time.
    if (error.kind == ErrorKind::kClosed && error.retryable) {
      redial_at_once(metrics_.redials_after_close, error.detail);
      return;
    }
  }
  note_failure(error);
  detour_.reset();
  redirects_ = 0;
  back_off(backoff_.after_failure(cause_of(error), error.retry_after), error.detail);
}

void GatewayLink::redial_at_once(Counter& redials, std::string_view reason) {
  if (const auto wait = backoff_.at_once()) {
    redials.add();
    back_off(*wait, reason);
    return;
  }
  const std::string too_often =
      "the gateway has us dial over and over, within a short time; now: " + std::string(reason);
  note_failure({ErrorKind::kClosed, Side::kGateway, too_often, true});
  back_off(backoff_.after_failure(Backoff::Cause::kUnavailable), too_often);
}

void GatewayLink::back_off(Milliseconds wait, std::string_view reason) {
  wait_ = wait;
  redial_.start(wait);
  transition(LinkState::kBackingOff, reason);
}

// --- Make before break --------------------------------------------------------------------------

void GatewayLink::renew(std::string_view reason) {
  const Milliseconds wait(random_(static_cast<uint64_t>(options_.renew_spread.count())));
  // A gateway that has refused us is not asked again for long, unless there is something new.
  if (state_ == LinkState::kBackingOff && credentials_refused_) redial_.start(wait);
  if (state_ != LinkState::kAttached) return;
  // What is being dialled may have begun with what is no longer right.
  drop_successor();
  plan_renewal(wait, reason);
}

void GatewayLink::plan_renewal(Milliseconds wait, std::string_view reason) {
  renewal_reason_ = reason;
  renewal_.start(wait);
}

// Agents that were started together do not all come at once.
void GatewayLink::plan_renewal_by_age() {
  if (options_.max_age.count() <= 0) return;
  const auto jitter = static_cast<uint64_t>(options_.max_age.count() / 5);
  plan_renewal(options_.max_age - Milliseconds(random_(jitter)), "its age");
}

void GatewayLink::dial_successor() {
  if (state_ != LinkState::kAttached || successor_) return;
  around_.log.info("replacing the connection of a link",
                   {{"gateway", options_.name}, {"link", id()}, {"reason", renewal_reason_}});
  successor_ = make_connection();
}

void GatewayLink::succeed() {
  retire_active();
  active_ = std::move(successor_);
  metrics_.renewals.add();
  note_attached();
  log_transition(LinkState::kAttached, "replaced: " + renewal_reason_);
  if (retiring_.back()->has_session()) {
    retiring_.back()->drain();
    return;
  }
  // The gateway has kept it unused.
  discard(std::move(retiring_.back()));
  retiring_.pop_back();
}

void GatewayLink::on_successor_ended(const Error& error) {
  discard(std::move(successor_));
  redirects_ = 0;
  metrics_.renewals_failed.add();
  const Milliseconds wait = renewal_backoff_.after_failure(cause_of(error), error.retry_after);
  around_.log.warn("a link keeps its connection, because another cannot be had",
                   {{"gateway", options_.name},
                    {"link", id()},
                    {"reason", error.detail},
                    {"wait_ms", int64_t{wait.count()}}});
  plan_renewal(wait, renewal_reason_);
}

void GatewayLink::on_successor_redirected(std::unique_ptr<Detour> detour) {
  if (detour && ++redirects_ > options_.hello.redirects_max) {
    on_successor_ended({ErrorKind::kConfiguration, Side::kGateway,
                        "the gateway sends us from place to place", false});
    return;
  }
  discard(std::move(successor_));
  detour_ = std::move(detour);
  plan_renewal(renewal_backoff_.at_once().value_or(options_.backoff.max), renewal_reason_);
}

void GatewayLink::drop_successor() {
  renewal_.stop();
  if (successor_) discard(std::move(successor_));
}

void GatewayLink::note_failure(const Error& error) {
  metrics_.failures(error.kind).add();
  failing_ = true;
  last_error_ = error.detail;
  const bool refused = error.kind == ErrorKind::kRefused;
  metrics_.credentials_refused.add((refused ? 1 : 0) - (credentials_refused_ ? 1 : 0));
  credentials_refused_ = refused;
}

void GatewayLink::note_attached() {
  metrics_.attaches.add();
  metrics_.attach_seconds.observe(static_cast<double>(active_->age().count()) / 1000.0);
  if (credentials_refused_) metrics_.credentials_refused.add(-1);
  credentials_refused_ = false;
  failing_ = false;
  redirects_ = 0;
  last_error_.clear();
  plan_renewal_by_age();
}

void GatewayLink::begin_drain() {
  const std::vector<Connection*> sessions = stop_dialling();
  transition(LinkState::kDraining, "drain");
  for (Connection* connection : sessions)
    connection->drain();
  close_if_done();
}

void GatewayLink::begin_abort() {
  if (abort_grace_.running()) return;
  abort_grace_.start(kAbortGrace);
  const std::vector<Connection*> sessions = stop_dialling();
  if (state_ != LinkState::kDraining) transition(LinkState::kDraining, "abort");
  for (Connection* connection : sessions)
    connection->abort();
  close_if_done();
}

// What is left are the connections that have a session.
std::vector<Connection*> GatewayLink::stop_dialling() {
  redial_.stop();
  drop_successor();
  if (active_ && !active_->has_session()) discard(std::move(active_));
  std::vector<Connection*> sessions;
  if (active_) sessions.push_back(active_.get());
  for (const auto& connection : retiring_)
    sessions.push_back(connection.get());
  return sessions;
}

void GatewayLink::close_if_done() {
  if (state_ != LinkState::kDraining || active_ || !retiring_.empty()) return;
  abort_grace_.stop();
  transition(LinkState::kClosed, "nothing in flight");
}

void GatewayLink::discard(std::unique_ptr<Connection> connection) {
  connection->silence();
  around_.loop.retire(std::move(connection));
}

void GatewayLink::discard_all() {
  drop_successor();
  if (active_) discard(std::move(active_));
  for (auto& connection : retiring_)
    discard(std::move(connection));
  retiring_.clear();
}

void GatewayLink::transition(LinkState to, std::string_view reason) {
  CHECK_INVARIANT(may_follow(state_, to));
  const LinkState from = state_;
  metrics_.in_state(from).add(-1);
  metrics_.in_state(to).add(1);
  state_ = to;
  log_transition(from, reason);
  around_.listener.on_link_state(*this, to);
}

// What operators wait for is told, each step on the way only when asked for.
void GatewayLink::log_transition(LinkState from, std::string_view reason) const {
  Log& log = around_.log;
  const LogField gateway{"gateway", options_.name};
  const LogField link{"link", id()};
  const LogField old_state{"from", to_string(from)};
  const LogField new_state{"to", to_string(state_)};
  const LogField why{"reason", reason};
  if (state_ == LinkState::kAttached) {
    log.info("link state", {gateway,
                            link,
                            old_state,
                            new_state,
                            why,
                            {"address", active_->address()},
                            {"tls", active_->tls_version()},
                            {"took_ms", int64_t{active_->age().count()}}});
    return;
  }
  const bool is_wait = state_ == LinkState::kBackingOff;
  const bool is_end = state_ == LinkState::kDraining || state_ == LinkState::kClosed;
  LogLevel level = is_wait || is_end ? LogLevel::kInfo : LogLevel::kDebug;
  if (is_wait && failing_) level = LogLevel::kWarn;
  if (!log.enabled(level)) return;
  if (is_wait) {
    log.write(level, "link state",
              {gateway, link, old_state, new_state, why, {"wait_ms", int64_t{wait_.count()}}});
  } else {
    log.write(level, "link state", {gateway, link, old_state, new_state, why});
  }
}

}  // namespace

std::unique_ptr<Link> Link::create(const Surroundings& surroundings, const GatewayOptions& options,
                                   uint32_t index, uint32_t capacity) {
  return std::make_unique<GatewayLink>(surroundings, options, index, capacity);
}

}  // namespace ptth
