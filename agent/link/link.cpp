#include "agent/link/gateway_link.h"
#include "agent/link/tunnel_pool.h"

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

}  // namespace

GatewayLink::GatewayLink(const Surroundings& around, const GatewayOptions& options, uint32_t index,
                         uint32_t capacity)
    : around_(around),
      options_(options),
      index_(index),
      capacity_(capacity),
      record_(around.log, around.metrics, options.name, index),
      metrics_(record_.metrics()),
      random_(around.random ? around.random : make_random()),
      backoff_(options.backoff, random_),
      renewal_backoff_(options.backoff, random_),
      redial_(around.loop, [this] { dial(); }),
      renewal_(around.loop, [this] { dial_successor(); }),
      look_(around.loop, [this] { look_for_better(); }),
      abort_grace_(around.loop,
                   [this] {
                     discard_all();
                     close_if_done();
                   }),
      obey_(around.loop, [this] { obey(); }) {}

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
  if (state() == LinkState::kClosed) return;
  switch (wanted_) {
    case Command::kNone:
      return;
    case Command::kStart:
      if (state() == LinkState::kIdle) dial();
      return;
    case Command::kDrain:
      if (state() != LinkState::kDraining) begin_drain();
      return;
    case Command::kAbort:
      begin_abort();
      return;
  }
}

std::unique_ptr<Connection> GatewayLink::make_connection(ProfileOffer offer) {
  auto connection = std::make_unique<Connection>(
      Connection::Parameters{around_, options_, index_, capacity_, id(), std::move(offer),
                             std::move(detour_)},
      static_cast<Connection::Listener&>(*this));
  record_.note_dial(connection->trial().offer);
  return connection;
}

void GatewayLink::dial() {
  active_ = make_connection(around_.profiles.next());
  transition(active_->step(), "dial");
}

void GatewayLink::on_connection_step(Connection& connection, LinkState step) {
  if (step == LinkState::kAttached) {
    carries_one_exchange_ = connection.carries_one_exchange();
    if (connection.has_session()) note_worked(connection);
  }
  if (&connection == successor_.get()) {
    if (step == LinkState::kAttached) succeed();
    return;
  }
  if (state() == LinkState::kDraining || &connection != active_.get()) return;
  if (step != LinkState::kAttached) {
    transition(step, "");
    return;
  }
  note_attached();
  record_.move_to_attached(connection);
  around_.listener.on_link_state(*this, step);
}

// What a gateway holds without a session has not shown yet that it means it.
void GatewayLink::note_worked(Connection& connection) {
  if (connection.trial().has_worked) return;
  connection.note_worked();
  around_.profiles.worked(connection.trial(), around_.loop.now_ms());
}

// Make before break: the session goes on with what it has while the next one is dialled.
void GatewayLink::on_connection_leaving(Connection& connection) {
  if (state() != LinkState::kAttached || &connection != active_.get()) return;
  drop_successor();
  retire_active();
  redial_at_once(metrics_.redials_after_leaving, "the gateway sends no new requests here");
}

// The gateway may still send requests here, until it hears from the session that they belong
// elsewhere.
void GatewayLink::on_connection_replacement_wanted(Connection& connection) {
  if (state() != LinkState::kAttached || &connection != active_.get()) return;
  drop_successor();
  is_look_ = false;
  metrics_.redials_after_leaving.add();
  plan_renewal(backoff_.at_once().value_or(options_.backoff.max),
               "the gateway leaves the connection that carries it");
}

void GatewayLink::on_connection_load_changed(Connection& connection) {
  note_worked(connection);
  around_.listener.on_link_load_changed(*this);
}

void GatewayLink::retire_active() {
  backoff_.was_attached(active_->attached_for());
  retire(std::move(active_));
}

void GatewayLink::retire(std::unique_ptr<Connection> connection) {
  if (retiring_.size() == kRetiringMax) {
    discard(std::move(retiring_.front()));
    retiring_.erase(retiring_.begin());
  }
  retiring_.push_back(std::move(connection));
}

void GatewayLink::on_connection_ended(Connection& connection, const Error& error) {
  if (&connection == successor_.get()) {
    on_successor_ended(error);
    return;
  }
  if (&connection == active_.get()) {
    const Milliseconds attached_for = active_->attached_for();
    const ProfileTrial trial = active_->trial();
    if (active_->has_been_asked()) around_.profiles.used(*trial.agreed);
    backoff_.was_useful(active_->exchanges_answered());
    discard(std::move(active_));
    if (state() != LinkState::kDraining) {
      on_active_ended(trial, attached_for, error);
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
  CHECK_INVARIANT(&connection == active_.get() && !active_->has_session());
  const Milliseconds waited = active_->age();
  const ProfileTrial trial = active_->trial();
  const bool is_moved = connection.is_moved();
  drop_successor();
  discard(std::move(active_));
  detour_ = std::move(detour);
  if (!is_moved) {
    backoff_.was_attached(waited);
    redial_at_once(metrics_.redials_to_ask_again, "the gateway had nothing for us, and closes");
  } else if (++redirects_ <= options_.hello.redirects_max) {
    redial_at_once(metrics_.redials_elsewhere, "the gateway sends us to " + detour_->host);
  } else {
    on_active_ended(trial, {},
                    {ErrorKind::kConfiguration, Side::kGateway,
                     "the gateway sends us from place to place", false});
  }
}

void GatewayLink::on_active_ended(const ProfileTrial& trial, Milliseconds attached_for,
                                  const Error& error) {
  drop_successor();
  if (state() == LinkState::kAttached) {
    backoff_.was_attached(attached_for);
    // HAProxy closes idle links with a bare end, all the time.
    if (error.kind == ErrorKind::kClosed && error.retryable) {
      redial_at_once(metrics_.redials_after_close, error.detail);
      return;
    }
  }
  // One that has worked is not to blame.
  const ProfileChooser::Verdict verdict =
      trial.has_worked ? ProfileChooser::Verdict{error} : around_.profiles.failed(trial, error);
  const Error& told = verdict.error;
  // The waits of a round are those of a gateway that is not there, however much is left to try.
  const auto cause = verdict.tries_next ? Backoff::Cause::kUnavailable : Backoff::cause_of(told);
  lacks_credentials_ = error.kind == ErrorKind::kRefused || error.side == Side::kLocal;
  record_.note_failure(
      told, verdict.tries_next ? LinkRecord::Gravity::kExpected : LinkRecord::Gravity::kWarning);
  detour_.reset();
  redirects_ = 0;
  back_off(backoff_.after_failure(cause, told.retry_after), told.detail);
}

void GatewayLink::redial_at_once(Counter& redials, std::string_view reason) {
  if (const auto wait = backoff_.at_once()) {
    redials.add();
    back_off(*wait, reason);
    return;
  }
  const std::string too_often =
      "the gateway has us dial over and over, within a short time; now: " + std::string(reason);
  lacks_credentials_ = false;
  record_.note_failure({ErrorKind::kClosed, Side::kGateway, too_often, true},
                       LinkRecord::Gravity::kWarning);
  back_off(backoff_.after_failure(Backoff::Cause::kUnavailable), too_often);
}

void GatewayLink::back_off(Milliseconds wait, std::string_view reason) {
  redial_.start(wait);
  record_.move_to_wait(wait, reason);
  around_.listener.on_link_state(*this, LinkState::kBackingOff);
}

void GatewayLink::renew(std::string_view reason) {
  if (around_.tunnels != nullptr) around_.tunnels->renew();
  const Milliseconds wait(random_(static_cast<uint64_t>(options_.renew_spread.count())));
  // A gateway that has refused us is not asked again for long, unless there is something new.
  if (state() == LinkState::kBackingOff && credentials_refused()) redial_.start(wait);
  if (state() != LinkState::kAttached) return;
  // What is being dialled may have begun with what is no longer right.
  drop_successor();
  is_look_ = false;
  plan_renewal(wait, reason);
}

void GatewayLink::credentials_arrived() {
  if (state() != LinkState::kBackingOff || !lacks_credentials_) return;
  redial_.start(Milliseconds(random_(static_cast<uint64_t>(options_.backoff.min.count()))));
}

void GatewayLink::plan_renewal(Milliseconds wait, std::string_view reason) {
  renewal_reason_ = reason;
  renewal_.start(wait);
}

// Agents that were started together do not all come at once.
void GatewayLink::plan_renewal_by_age() {
  if (options_.max_age.count() <= 0) return;
  const auto jitter = static_cast<uint64_t>(options_.max_age.count() / 5);
  is_look_ = false;
  const Milliseconds age = options_.max_age - Milliseconds(random_(jitter));
  plan_renewal(std::max(age - active_->carrier_age(), Milliseconds(0)), "its age");
}

// Agents that were started together do not all ask at once.
void GatewayLink::plan_look() {
  const Milliseconds interval = around_.profiles.interval();
  if (interval.count() <= 0) return;
  const auto jitter = static_cast<uint64_t>(interval.count() / 5);
  look_.start(interval - Milliseconds(random_(jitter)));
}

void GatewayLink::look_for_better() {
  plan_look();
  if (state() != LinkState::kAttached || successor_ || detour_) return;
  if (active_->has_been_asked()) around_.profiles.used(*active_->trial().agreed);
  ProfileOffer offer = around_.profiles.better(*active_->trial().agreed, around_.loop.now_ms());
  if (offer.empty()) return;
  is_look_ = true;
  successor_ = make_connection(std::move(offer));
}

void GatewayLink::dial_successor() {
  if (state() != LinkState::kAttached) return;
  if (successor_ && is_look_) discard(std::move(successor_));
  if (successor_) return;
  is_look_ = is_look_ && detour_;
  record_.tell_replacing(renewal_reason_);
  successor_ = make_connection(around_.profiles.next());
}

void GatewayLink::succeed() {
  retire_active();
  active_ = std::move(successor_);
  active_->set_capacity(capacity_);
  (is_look_ ? metrics_.looks : metrics_.renewals).add();
  note_attached();
  record_.tell_replaced(*active_, is_look_ ? "a better profile" : renewal_reason_);
  if (retiring_.back()->has_session()) {
    retiring_.back()->drain();
    return;
  }
  // The gateway has kept it unused.
  discard(std::move(retiring_.back()));
  retiring_.pop_back();
}

void GatewayLink::on_successor_ended(const Error& error) {
  const ProfileTrial trial = successor_->trial();
  discard(std::move(successor_));
  redirects_ = 0;
  if (is_look_) {
    metrics_.looks_failed.add();
    record_.tell_nothing_better(error, trial.offer);
    around_.profiles.not_better(trial);
    if (!renewal_.running()) plan_renewal_by_age();
    return;
  }
  metrics_.renewals_failed.add();
  const Error told = explained(trial, error);
  const Milliseconds wait =
      renewal_backoff_.after_failure(Backoff::cause_of(told), told.retry_after);
  record_.tell_not_replaced(told, wait);
  plan_renewal(wait, renewal_reason_);
}

void GatewayLink::on_successor_redirected(std::unique_ptr<Detour> detour) {
  if (is_look_ && !detour) {
    on_successor_ended({ErrorKind::kUnavailable, Side::kGateway, "it had nothing for us", true});
    return;
  }
  if (detour && ++redirects_ > options_.hello.redirects_max) {
    on_successor_ended({ErrorKind::kConfiguration, Side::kGateway,
                        "the gateway sends us from place to place", false});
    return;
  }
  discard(std::move(successor_));
  detour_ = std::move(detour);
  plan_renewal(renewal_backoff_.at_once().value_or(options_.backoff.max), renewal_reason_);
}

// A gateway may use a connection before we call it attached.
void GatewayLink::drop_successor() {
  renewal_.stop();
  if (!successor_) return;
  if (!successor_->has_session()) return discard(std::move(successor_));
  Connection& dropped = *successor_;
  retire(std::move(successor_));
  dropped.drain();
}

void GatewayLink::note_attached() {
  record_.note_attached(*active_);
  redirects_ = 0;
  plan_renewal_by_age();
  plan_look();
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
  if (state() != LinkState::kDraining) transition(LinkState::kDraining, "abort");
  for (Connection* connection : sessions)
    connection->abort();
  close_if_done();
}

// What is left are the connections that have a session.
std::vector<Connection*> GatewayLink::stop_dialling() {
  redial_.stop();
  look_.stop();
  drop_successor();
  if (active_ && !active_->has_session()) discard(std::move(active_));
  std::vector<Connection*> sessions;
  if (active_) sessions.push_back(active_.get());
  for (const auto& connection : retiring_)
    sessions.push_back(connection.get());
  return sessions;
}

void GatewayLink::close_if_done() {
  if (state() != LinkState::kDraining || active_ || !retiring_.empty()) return;
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
  record_.move(to, reason);
  around_.listener.on_link_state(*this, to);
}

std::unique_ptr<Link> Link::create(const Surroundings& surroundings, const GatewayOptions& options,
                                   uint32_t index, uint32_t capacity) {
  return std::make_unique<GatewayLink>(surroundings, options, index, capacity);
}

}  // namespace ptth
