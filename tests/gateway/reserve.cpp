#include "tests/gateway/reserve.h"

#include "common/check.h"

#include <algorithm>
#include <utility>

namespace ptth::dev {

UnusedWorker::Options Reserve::numbered(UnusedWorker::Options options) {
  options.number = ++added_;
  return options;
}

void Reserve::add_envoy(std::unique_ptr<ByteStream> stream, RecordGate* gate,
                        UnusedWorker::Options options) {
  add(UnusedWorker::envoy(loop_, std::move(stream), gate, numbered(std::move(options)), *this));
}

void Reserve::add_poll(std::unique_ptr<ByteStream> stream, std::string answer,
                       UnusedWorker::Options options) {
  add(UnusedWorker::poll(loop_, std::move(stream), std::move(answer), numbered(std::move(options)),
                         *this));
}

void Reserve::add(std::unique_ptr<UnusedWorker> worker) {
  log_.info("worker waits", {{"worker", worker->options().name},
                             {"number", worker->options().number},
                             {"profile", to_string(worker->options().profile)}});
  entries_.push_back({std::move(worker)});
}

bool Reserve::use_one() {
  const auto found = std::ranges::find_if(entries_, [](const Entry& entry) { return !entry.used; });
  if (found == entries_.end()) return false;
  found->used = true;
  found->worker->use();
  return true;
}

size_t Reserve::coming() const {
  return static_cast<size_t>(
      std::ranges::count_if(entries_, [](const Entry& entry) { return entry.used; }));
}

Reserve::Entry Reserve::take(UnusedWorker& worker) {
  const auto found = std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.worker.get() == &worker; });
  CHECK_INVARIANT(found != entries_.end());
  Entry entry = std::move(*found);
  entries_.erase(found);
  return entry;
}

void Reserve::on_worker_usable(UnusedWorker& worker, std::unique_ptr<ByteStream> stream) {
  const UnusedWorker::Options options = worker.options();
  loop_.retire(take(worker).worker);
  listener_.on_reserve_usable(options, std::move(stream));
}

void Reserve::on_worker_lapsed(UnusedWorker& worker, std::unique_ptr<ByteStream> stream) {
  const UnusedWorker::Options options = worker.options();
  loop_.retire(take(worker).worker);
  log_.info("worker told to ask again",
            {{"worker", options.name}, {"number", options.number}, {"status", int64_t{204}}});
  listener_.on_reserve_lapsed(options, std::move(stream));
}

void Reserve::on_worker_lost(UnusedWorker& worker, const Error& error) {
  log_.info("worker lost unused", {{"worker", worker.options().name},
                                   {"number", worker.options().number},
                                   {"reason", error.detail}});
  Entry entry = take(worker);
  loop_.retire(std::move(entry.worker));
  if (entry.used) listener_.on_reserve_lost();
}

}  // namespace ptth::dev
