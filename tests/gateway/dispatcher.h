#pragma once

// Chooses a worker for each request: the least loaded one that is attached and has room; else the
// request waits, with a bound on number and time. Owns the workers. Between user sessions, which
// see an Origin, and WorkerSessions.

#include "agent/origin/origin.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/gateway/challenge_check.h"
#include "tests/gateway/exchange.h"
#include "tests/gateway/faults.h"
#include "tests/gateway/worker_session.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace ptth::dev {

class Dispatcher final : public Origin,
                         private Exchange::Queue,
                         private WorkerSession::Listener,
                         private ChallengeCheck::Listener {
 public:
  struct Options {
    RetryOptions retry;
    size_t queue_length_max = 1000;
    FaultOptions faults;
    ChallengeRules challenge;  // A worker is asked who it is before it gets requests.
  };

  Dispatcher(Loop& loop, Log& log, const Options& options);
  ~Dispatcher() override;
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;
  Dispatcher(Dispatcher&&) = delete;
  Dispatcher& operator=(Dispatcher&&) = delete;

  // The slot is let go of at once: what limits a gateway is its workers' MAX_CONCURRENT_STREAMS.
  [[nodiscard]] std::unique_ptr<OriginCall> start(const RequestHead& head,
                                                  ResponseListener& listener,
                                                  WorkSlot slot) override;

  // A worker has dialled, and TLS, if any, is done. number and faults of the options are filled in
  // here.
  void add_worker(std::unique_ptr<ByteStream> stream, WorkerSession::Options options);
  // GOAWAY to every worker, also to those that come later; each is closed when its last request has
  // finished. empty is called from the loop when no worker is left.
  void leave(std::function<void()> empty);

  // Called when requests wait though all have been looked at, with their number.
  void on_starved(std::function<void(size_t)> starved) { starved_ = std::move(starved); }

  // Looks again at what waits, at the end of the turn.
  void try_waiting() { send_waiting_.schedule(); }

  [[nodiscard]] size_t workers_attached() const;
  // Of those that waited unused: not attached yet, so that somebody else need not be woken.
  [[nodiscard]] size_t workers_coming() const;

 private:
  struct Worker {
    std::unique_ptr<WorkerSession> session;
    uint64_t last_chosen = 0;
    uint64_t requests = 0;
    size_t streams_told = 0;  // The limit that the log has shown.
    // It is who it has to be, if that was asked.
    bool admitted = false;
    std::unique_ptr<ChallengeCheck> challenge = {};  // While it is asked.
    std::vector<std::string> prefixes = {};          // That it serves; empty: all.
    bool coming = true;                              // Not attached yet.
  };

  // Exchange::Queue
  bool enter(Exchange& exchange) override;
  void remove(Exchange& exchange) override;
  std::string_view reason_to_wait() const override;
  void look_again() override;

  // WorkerSession::Listener
  void on_worker_attached(WorkerSession& worker) override;
  void on_worker_limit(WorkerSession& worker) override;
  void on_worker_room(WorkerSession& worker) override;
  void on_worker_leaving(WorkerSession& worker) override;
  void on_worker_ended(WorkerSession& worker, const Error& error) override;

  void on_challenge_judged(WorkerSession& worker, const ChallengeVerdict& verdict) override;

  void ask_who(Worker& entry);
  void admit(Worker& entry);
  void send_waiting();
  Worker* choose(const Exchange& exchange);
  Worker& entry_of(const WorkerSession& session);
  [[nodiscard]] bool any_room() const;

  Loop& loop_;
  Log& log_;
  Options options_;
  std::vector<Worker> workers_;
  std::deque<Exchange*> queue_;
  uint64_t requests_ = 0;
  uint64_t connections_ = 0;
  uint64_t choices_ = 0;
  bool leaving_ = false;
  std::function<void()> empty_;
  std::function<void(size_t)> starved_;
  EndOfTurn send_waiting_;
};

}  // namespace ptth::dev
