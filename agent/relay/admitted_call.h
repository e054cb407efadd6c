#pragma once

// AdmittedCall: a call that admission has to do with after start(): it waits in a queue before it
// begins, or its answer is watched, or both. Calls that begin at once and are not watched go
// without it.

#include "agent/origin/origin.h"
#include "agent/relay/admission_metrics.h"
#include "agent/relay/gradient_limit.h"
#include "agent/relay/wait_queue.h"
#include "common/byte_queue.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ptth {

//   kNew -> kWaiting -> kStarted -> kOver
//     |        |  \                   ^
//     |        |   kDoomed -----------|
//     +--------+----------------------+
class AdmittedCall final : public OriginCall, public WaitQueue::Entry, private ResponseListener {
 public:
  enum class Watch { kNo, kYes };

  struct Answer {
    GradientLimit::Sample sample;
  };

  // None of these calls comes back into the call, but for fail().
  class Owner {
   public:
    [[nodiscard]] virtual uint64_t now_us() const = 0;
    // The next three only while it waits.
    virtual void on_reprioritized(AdmittedCall& call, const Priority& priority) = 0;
    virtual void on_body_held(AdmittedCall& call, size_t count) = 0;
    virtual void on_expired(AdmittedCall& call) = 0;
    // It is destroyed while it waits, or is doomed.
    virtual void on_gone(AdmittedCall& call) = 0;
    // The first byte of a watched answer, or what came instead.
    virtual void on_answer(const AdmittedCall& call, const Answer& answer) = 0;
    // The field that is taken out of watched answers; empty: none.
    [[nodiscard]] virtual const std::string& capacity_field() const = 0;
    virtual void on_capacity_said(std::string_view value) = 0;

   protected:
    ~Owner() = default;
  };

  struct Start {
    Watch watch = Watch::kNo;
    uint32_t in_flight = 0;  // Itself included.
  };

  // Head and listener as in Origin::start; the owner outlives the call.
  AdmittedCall(Owner& owner, size_t lane, const RequestHead& head, ResponseListener& listener)
      : owner_(owner), lane_(lane), head_(head), listener_(listener) {}

  ~AdmittedCall() override;
  AdmittedCall(const AdmittedCall&) = delete;
  AdmittedCall& operator=(const AdmittedCall&) = delete;
  AdmittedCall(AdmittedCall&&) = delete;
  AdmittedCall& operator=(AdmittedCall&&) = delete;

  // At most so long, for that reason; then on_expired.
  void wait(Loop& loop, WorkSlot slot, Milliseconds at_most, QueueDrop reason);
  // What it came with while it waited.
  [[nodiscard]] WorkSlot take_slot();
  void begin(Origin& origin, WorkSlot slot, const Start& start);
  // It waits no longer, and will fail.
  void doom(QueueDrop reason);
  void fail(const Error& error);

  [[nodiscard]] size_t lane() const { return lane_; }

  [[nodiscard]] const RequestHead& head() const { return head_; }

  [[nodiscard]] bool is_doomed() const { return state_ == State::kDoomed; }

  [[nodiscard]] QueueDrop drop_reason() const { return drop_reason_; }

  // Of the body, while it waits.
  [[nodiscard]] size_t bytes_held() const { return waiting_ ? waiting_->body.size() : 0; }

  // OriginCall
  void write_body(Bytes bytes) override;
  void end_body(const FieldList& trailers) override;
  void pause_response() override;
  void resume_response() override;
  void reprioritize(const Priority& priority) override;

 private:
  enum class State { kNew, kWaiting, kDoomed, kStarted, kOver };

  struct Waiting {
    Waiting(Loop& loop, AdmittedCall& call)
        : expiry(loop, [&call] { call.owner_.on_expired(call); }) {}

    WorkSlot slot;
    ByteQueue body;
    std::optional<FieldList> body_end;
    Timer expiry;
  };

  // ResponseListener, when watched.
  void on_interim_response(const ResponseHead& head) override;
  void on_response_head(const ResponseHead& head) override;
  void on_response_body(Bytes bytes) override;
  void on_response_end(const FieldList& trailers) override;
  void on_response_failed(const Error& error) override;
  void on_request_body_taken(size_t count) override;

  void note_answer(GradientLimit::Outcome outcome);

  Owner& owner_;
  const size_t lane_;
  const RequestHead& head_;
  ResponseListener& listener_;
  State state_ = State::kNew;
  QueueDrop drop_reason_ = QueueDrop::kAge;
  bool is_answered_ = false;
  uint32_t in_flight_ = 0;
  uint64_t started_us_ = 0;
  std::unique_ptr<Waiting> waiting_;
  std::unique_ptr<OriginCall> inner_;
};

}  // namespace ptth
