#include "tests/gateway/dispatcher.h"

#include <algorithm>
#include <utility>

namespace ptth::dev {

Dispatcher::Dispatcher(Loop& loop, Log& log, const Options& options)
    : loop_(loop), log_(log), options_(options), send_waiting_(loop, [this] { send_waiting(); }) {}

Dispatcher::~Dispatcher() = default;

std::unique_ptr<OriginCall> Dispatcher::start(const RequestHead& head, ResponseListener& listener,
                                              WorkSlot /*slot*/) {
  ++requests_;
  const Exchange::Surroundings surroundings{loop_, log_, *this, options_.retry};
  return std::make_unique<Exchange>(surroundings, requests_, head,
                                    request_faults(options_.faults, requests_), listener);
}

void Dispatcher::add_worker(std::unique_ptr<ByteStream> stream, WorkerSession::Options options) {
  ++connections_;
  options.number = connections_;
  options.faults = connection_faults(options_.faults, connections_);
  if (options.name.empty()) options.name = "worker-" + std::to_string(connections_);
  auto session = WorkerSession::start(loop_, std::move(stream), std::move(options), *this);
  if (leaving_) session->leave();
  workers_.push_back({std::move(session)});
}

void Dispatcher::leave(std::function<void()> empty) {
  leaving_ = true;
  empty_ = std::move(empty);
  for (const Worker& worker : workers_)
    worker.session->leave();
  if (workers_.empty()) loop_.post(empty_);
}

size_t Dispatcher::workers_attached() const {
  return static_cast<size_t>(std::ranges::count_if(workers_, [](const Worker& worker) {
    return worker.admitted && worker.session->attached();
  }));
}

size_t Dispatcher::workers_coming() const {
  return static_cast<size_t>(std::ranges::count_if(workers_, [](const Worker& worker) {
    return worker.coming && waits_unused(worker.session->options().profile);
  }));
}

bool Dispatcher::enter(Exchange& exchange) {
  if (queue_.size() >= options_.queue_length_max) return false;
  queue_.push_back(&exchange);
  send_waiting_.schedule();
  return true;
}

void Dispatcher::remove(Exchange& exchange) {
  std::erase(queue_, &exchange);
}

std::string_view Dispatcher::reason_to_wait() const {
  if (leaving_) return "this gateway is stopping";
  if (workers_attached() == 0) return "no worker is attached";
  return "no attached worker has room for another request";
}

void Dispatcher::look_again() {
  send_waiting_.schedule();
}

bool Dispatcher::any_room() const {
  return std::ranges::any_of(
      workers_, [](const Worker& worker) { return worker.admitted && worker.session->room() > 0; });
}

Dispatcher::Worker* Dispatcher::choose(const Exchange& exchange) {
  Worker* best = nullptr;
  for (Worker& worker : workers_) {
    if (!worker.admitted || !serves(worker.prefixes, exchange.path())) continue;
    if (worker.session->room() == 0 || exchange.refused_by(*worker.session)) continue;
    const auto load = [](const Worker& of) {
      return std::pair(of.session->in_flight(), of.last_chosen);
    };
    if (best == nullptr || load(worker) < load(*best)) best = &worker;
  }
  return best;
}

void Dispatcher::send_waiting() {
  for (size_t index = 0; index < queue_.size() && any_room();) {
    Exchange& exchange = *queue_[index];
    Worker* worker = choose(exchange);
    if (worker == nullptr) {
      ++index;
      continue;
    }
    queue_.erase(queue_.begin() + static_cast<ptrdiff_t>(index));
    worker->last_chosen = ++choices_;
    ++worker->requests;
    exchange.send_to(*worker->session);
  }
  if (!queue_.empty() && starved_ && !leaving_) starved_(queue_.size());
}

Dispatcher::Worker& Dispatcher::entry_of(const WorkerSession& session) {
  const auto found = std::ranges::find_if(
      workers_, [&](const Worker& entry) { return entry.session.get() == &session; });
  CHECK_INVARIANT(found != workers_.end());
  return *found;
}

void Dispatcher::on_worker_attached(WorkerSession& worker) {
  Worker& entry = entry_of(worker);
  if (options_.challenge.asked()) {
    ask_who(entry);
  } else {
    admit(entry);
  }
}

void Dispatcher::ask_who(Worker& entry) {
  if (entry.challenge || entry.session->room() == 0) return;
  entry.challenge = std::make_unique<ChallengeCheck>(loop_, options_.challenge, *entry.session,
                                                     static_cast<ChallengeCheck::Listener&>(*this));
}

void Dispatcher::on_challenge_judged(WorkerSession& worker, const ChallengeVerdict& verdict) {
  Worker& entry = entry_of(worker);
  loop_.retire(std::move(entry.challenge));
  if (!verdict.wrong) {
    entry.prefixes = verdict.prefixes;
    admit(entry);
    return;
  }
  log_.warn("worker refused", {{"worker", worker.options().name},
                               {"connection", worker.options().number},
                               {"reason", *verdict.wrong}});
  worker.leave();
}

void Dispatcher::admit(Worker& entry) {
  entry.admitted = true;
  const WorkerSession& worker = *entry.session;
  const WorkerSession::Options& options = worker.options();
  log_.info("worker attached", {{"worker", options.name},
                                {"connection", options.number},
                                {"profile", to_string(options.profile)},
                                {"channel", to_string(options.channel)},
                                {"streams_max", uint64_t{worker.streams_limit()}}});
  entry.coming = false;
  entry.streams_told = worker.streams_limit();
  send_waiting_.schedule();
}

void Dispatcher::on_worker_limit(WorkerSession& worker) {
  Worker& entry = entry_of(worker);
  if (!entry.admitted) return ask_who(entry);
  const size_t limit = worker.streams_limit();
  if (std::exchange(entry.streams_told, limit) == limit) return;
  log_.info("worker limit", {{"worker", worker.options().name},
                             {"connection", worker.options().number},
                             {"streams_max", uint64_t{limit}}});
  if (!queue_.empty()) send_waiting_.schedule();
}

void Dispatcher::on_worker_room(WorkerSession& /*worker*/) {
  if (!queue_.empty()) send_waiting_.schedule();
}

void Dispatcher::on_worker_leaving(WorkerSession& worker) {
  log_.info("worker leaving", {{"worker", worker.options().name},
                               {"connection", worker.options().number},
                               {"in_flight", uint64_t{worker.in_flight()}}});
}

void Dispatcher::on_worker_ended(WorkerSession& worker, const Error& error) {
  Worker& entry = entry_of(worker);
  log_.info("worker left", {{"worker", worker.options().name},
                            {"connection", worker.options().number},
                            {"requests", entry.requests},
                            {"reason", error.detail}});
  loop_.retire(std::move(entry.session));
  workers_.erase(workers_.begin() + (&entry - workers_.data()));
  if (leaving_ && workers_.empty()) empty_();
}

}  // namespace ptth::dev
