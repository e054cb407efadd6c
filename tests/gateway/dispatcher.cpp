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
  return static_cast<size_t>(std::ranges::count_if(
      workers_, [](const Worker& worker) { return worker.session->attached(); }));
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
  return std::ranges::any_of(workers_,
                             [](const Worker& worker) { return worker.session->room() > 0; });
}

Dispatcher::Worker* Dispatcher::choose(const Exchange& exchange) {
  Worker* best = nullptr;
  for (Worker& worker : workers_) {
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
}

Dispatcher::Worker& Dispatcher::entry_of(const WorkerSession& session) {
  const auto found = std::ranges::find_if(
      workers_, [&](const Worker& entry) { return entry.session.get() == &session; });
  CHECK_INVARIANT(found != workers_.end());
  return *found;
}

void Dispatcher::on_worker_attached(WorkerSession& worker) {
  const WorkerSession::Options& options = worker.options();
  log_.info("worker attached", {{"worker", options.name},
                                {"connection", options.number},
                                {"profile", to_string(options.profile)},
                                {"streams_max", uint64_t{worker.streams_limit()}}});
  entry_of(worker).streams_told = worker.streams_limit();
  send_waiting_.schedule();
}

void Dispatcher::on_worker_limit(WorkerSession& worker) {
  const size_t limit = worker.streams_limit();
  if (std::exchange(entry_of(worker).streams_told, limit) == limit) return;
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
