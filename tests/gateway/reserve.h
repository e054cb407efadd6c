#pragma once

// The workers that wait to be used. Each is used once, the one that has waited longest first. Owned
// by DevGateway, which fills it from hellos and empties it when requests wait.

#include "common/log.h"
#include "common/loop.h"
#include "tests/gateway/unused_worker.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace ptth::dev {

class Reserve final : private UnusedWorker::Listener {
 public:
  class Listener {
   public:
    virtual void on_reserve_usable(const UnusedWorker::Options& worker,
                                   std::unique_ptr<ByteStream> stream) = 0;
    virtual void on_reserve_lapsed(const UnusedWorker::Options& worker,
                                   std::unique_ptr<ByteStream> stream) = 0;
    // One that was on its way to be used will not come.
    virtual void on_reserve_lost() = 0;

   protected:
    ~Listener() = default;
  };

  Reserve(Loop& loop, Log& log, Listener& listener) : loop_(loop), log_(log), listener_(listener) {}

  ~Reserve() = default;
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;
  Reserve(Reserve&&) = delete;
  Reserve& operator=(Reserve&&) = delete;

  void add_envoy(std::unique_ptr<ByteStream> stream, RecordGate* gate,
                 UnusedWorker::Options options);
  void add_poll(std::unique_ptr<ByteStream> stream, std::string answer,
                UnusedWorker::Options options);
  // False: there is none.
  bool use_one();
  // On their way to be used.
  [[nodiscard]] size_t coming() const;

  // Not from inside a callback of the reserve's.
  void close() { entries_.clear(); }

 private:
  struct Entry {
    std::unique_ptr<UnusedWorker> worker;
    bool used = false;
  };

  void on_worker_usable(UnusedWorker& worker, std::unique_ptr<ByteStream> stream) override;
  void on_worker_lapsed(UnusedWorker& worker, std::unique_ptr<ByteStream> stream) override;
  void on_worker_lost(UnusedWorker& worker, const Error& error) override;
  void add(std::unique_ptr<UnusedWorker> worker);
  Entry take(UnusedWorker& worker);
  UnusedWorker::Options numbered(UnusedWorker::Options options);

  Loop& loop_;
  Log& log_;
  Listener& listener_;
  std::vector<Entry> entries_;  // The oldest first.
  uint64_t added_ = 0;
};

}  // namespace ptth::dev
