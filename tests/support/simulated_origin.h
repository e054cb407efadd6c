#pragma once

// An origin as queueing theory has it: so many threads, each request takes a time that is drawn
// from a distribution, and what finds no thread waits inside, first come first served. How many
// exchanges it should have in hand is known: as many as it has threads. Both can change over time.
// On the manual clock, with random numbers of its own: each run is the same.

#include "agent/origin/origin.h"
#include "common/loop.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>

namespace ptth::test {

class SimulatedOrigin final : public Origin {
 public:
  explicit SimulatedOrigin(Loop& loop) : loop_(loop) {}

  std::unique_ptr<OriginCall> start(const RequestHead& /*head*/, ResponseListener& listener,
                                    WorkSlot slot) override {
    const uint64_t id = ++last_id_;
    jobs_.emplace(id, Job{&listener, std::move(slot), nullptr});
    waiting_.push_back(id);
    serve();
    return std::make_unique<Call>(*this, id);
  }

  // What is being served goes on as it began.
  void change(uint32_t threads, double service_ms) {
    threads_ = threads;
    service_ms_ = service_ms;
    serve();
  }

  [[nodiscard]] uint32_t threads() const { return threads_; }

 private:
  struct Job {
    ResponseListener* listener;
    WorkSlot slot;
    std::unique_ptr<Timer> service;
  };

  class Call final : public OriginCall {
   public:
    Call(SimulatedOrigin& origin, uint64_t id) : origin_(origin), id_(id) {}

    ~Call() override { origin_.forget(id_); }

    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Call(Call&&) = delete;
    Call& operator=(Call&&) = delete;

    void write_body(Bytes /*bytes*/) override {}

    void end_body(const FieldList& /*trailers*/) override {}

    void pause_response() override {}

    void resume_response() override {}

   private:
    SimulatedOrigin& origin_;
    uint64_t id_;
  };

  void serve() {
    while (busy_ < threads_ && !waiting_.empty()) {
      const uint64_t id = waiting_.front();
      waiting_.pop_front();
      ++busy_;
      Job& job = jobs_.at(id);
      job.service = std::make_unique<Timer>(loop_, [this, id] { finish(id); });
      std::exponential_distribution<double> service(1 / service_ms_);
      job.service->start(Milliseconds(1 + static_cast<int64_t>(service(random_))));
    }
  }

  void finish(uint64_t id) {
    auto job = jobs_.extract(id);
    --busy_;
    job.mapped().slot.release();
    serve();
    loop_.retire(std::move(job.mapped().service));
    ResponseHead head;
    head.status = 200;
    ResponseListener* listener = job.mapped().listener;
    if (listener == nullptr) return;
    listener->on_response_head(head);
    listener->on_response_end({});
  }

  // The work goes on, as with a real application.
  void forget(uint64_t id) {
    const auto job = jobs_.find(id);
    if (job != jobs_.end()) job->second.listener = nullptr;
  }

  Loop& loop_;
  uint32_t threads_ = 1;
  double service_ms_ = 100;
  uint32_t busy_ = 0;
  uint64_t last_id_ = 0;
  std::map<uint64_t, Job> jobs_;
  std::deque<uint64_t> waiting_;
  std::mt19937_64 random_{1};
};

}  // namespace ptth::test
