#pragma once

// One request of a user and its answer: waits in the dispatcher's queue, goes to a worker, and goes
// to another one when the first has certainly not seen it. Between a user session (its
// ResponseListener) and a WorkerCall (whose ResponseListener it is).

#include "agent/origin/origin.h"
#include "common/byte_queue.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/gateway/faults.h"
#include "tests/gateway/worker_session.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptth::dev {

struct RetryOptions {
  Milliseconds queue_time{5'000};                // Waiting for a worker, each time; then 503.
  uint32_t tries_max = 3;                        // Workers asked for one request; then 503.
  Milliseconds retry_pause{100};                 // A worker that refused is asked again after this.
  size_t replay_bytes_max = size_t{256} * 1024;  // Of a request body kept to be sent again.
  Milliseconds answer_timeout{60'000};           // Sent to the head of the answer; then 504.
};

class Exchange final : public OriginCall, private ResponseListener {
 public:
  // The dispatcher as its exchanges see it.
  class Queue {
   public:
    // False: it is full. The exchange will be sent at the end of a turn.
    [[nodiscard]] virtual bool enter(Exchange& exchange) = 0;
    virtual void remove(Exchange& exchange) = 0;
    // Why nothing has been sent, for people.
    [[nodiscard]] virtual std::string_view reason_to_wait() const = 0;
    // Something that keeps exchanges waiting has changed.
    virtual void look_again() = 0;

   protected:
    ~Queue() = default;
  };

  struct Surroundings {
    Loop& loop;
    Log& log;
    Queue& queue;
    const RetryOptions& retry;
  };

  Exchange(const Surroundings& surroundings, uint64_t number, const RequestHead& head,
           const RequestFaults& faults, ResponseListener& listener);
  ~Exchange() override;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  Exchange(Exchange&&) = delete;
  Exchange& operator=(Exchange&&) = delete;

  void write_body(Bytes bytes) override;
  void end_body(const FieldList& trailers) override;
  void pause_response() override;
  void resume_response() override;

  // For the dispatcher: the exchange has left the queue and goes to that worker.
  void send_to(WorkerSession& worker);
  [[nodiscard]] bool refused_by(const WorkerSession& worker) const;

  [[nodiscard]] const std::string& path() const { return head_.path; }

 private:
  // kDelayed -> kQueued <-> kSent -> kAnswering -> kDone, and from each to kDone.
  enum class State { kDelayed, kQueued, kSent, kAnswering, kDone };

  void on_interim_response(const ResponseHead& head) override;
  void on_response_head(const ResponseHead& head) override;
  void on_response_body(Bytes bytes) override;
  void on_response_end(const FieldList& trailers) override;
  void on_response_failed(const Error& error) override;
  void on_request_body_taken(size_t count) override;

  void wait_for_worker();
  void timer_expired();
  void retry(const Error& error);
  void answer(int status, std::string_view reason);
  void log_end(std::string_view outcome);

  Surroundings at_;
  uint64_t number_;
  RequestHead head_;
  RequestFaults faults_;
  ResponseListener& listener_;
  State state_ = State::kDelayed;
  std::unique_ptr<OriginCall> call_;
  std::string worker_;
  uint64_t worker_number_ = 0;
  Channel channel_ = Channel::kHttp2;
  std::vector<uint64_t> refused_by_;
  uint32_t tries_ = 0;
  bool paused_ = false;
  // The request body from its beginning, as long as it may have to be sent again.
  ByteQueue replay_;
  bool replay_possible_ = true;
  bool body_ended_ = false;
  FieldList trailers_;
  size_t taken_this_try_ = 0;
  size_t taken_told_ = 0;
  int status_ = 0;
  uint64_t started_ms_;
  uint64_t bytes_up_ = 0;
  uint64_t bytes_down_ = 0;
  Timer timer_;
  Timer retry_timer_;
};

}  // namespace ptth::dev
