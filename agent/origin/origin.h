#pragma once

// Origin: who answers requests. An Origin that wraps an Origin adds behaviour (admission, routing)
// that the relay need not know.
//
// Heads and trailers of answers carry no fields that are for one connection only: each kind of
// origin leaves them out.
//
// Contract: the listener is never called from inside start() or a method of the call; exactly one
// of on_response_end and on_response_failed comes, and nothing after it; bytes and heads are valid
// for that call only. Destroying the call cancels it and silences it. A call is never destroyed
// inside its listener's callback: hand it to Loop::retire.

#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http_message.h"
#include "common/loop.h"
#include "common/priority.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace ptth {

class ResponseListener {
 public:
  // 1xx, any number up to a limit, before on_response_head. Never 101.
  virtual void on_interim_response(const ResponseHead& head) = 0;
  virtual void on_response_head(const ResponseHead& head) = 0;
  virtual void on_response_body(Bytes bytes) = 0;
  virtual void on_response_end(const FieldList& trailers) = 0;
  // error.retryable: the origin has certainly not seen the request.
  virtual void on_response_failed(const Error& error) = 0;
  // The origin's socket took so many more bytes of the request body: credit for the gateway.
  virtual void on_request_body_taken(size_t count) = 0;

 protected:
  ~ResponseListener() = default;
};

class OriginCall {
 public:
  OriginCall() = default;
  OriginCall(const OriginCall&) = delete;
  OriginCall& operator=(const OriginCall&) = delete;
  OriginCall(OriginCall&&) = delete;
  OriginCall& operator=(OriginCall&&) = delete;
  virtual ~OriginCall() = default;

  // For requests whose head says that a body comes. The bytes are copied; the caller is bounded by
  // the credit that it gave.
  virtual void write_body(Bytes bytes) = 0;
  virtual void end_body(const FieldList& trailers) = 0;
  // No on_response_body while paused, but for bytes that were already read.
  virtual void pause_response() = 0;
  virtual void resume_response() = 0;

  // The gateway has changed its mind about the request's priority (PRIORITY_UPDATE).
  virtual void reprioritize(const Priority& priority) { static_cast<void>(priority); }
};

// How much of a kind of work the origin has in hand: open streams are not what limits an origin.
class WorkCount {
 public:
  class Listener {
   public:
    // It has fallen. From anywhere, also from a destructor: only note it.
    virtual void on_work_done() = 0;

   protected:
    ~Listener() = default;
  };

  WorkCount() = default;
  WorkCount(const WorkCount&) = delete;
  WorkCount& operator=(const WorkCount&) = delete;
  WorkCount(WorkCount&&) = delete;
  WorkCount& operator=(WorkCount&&) = delete;

  [[nodiscard]] uint32_t in_hand() const { return in_hand_; }

  // Borrowed, until it is removed.
  void add_listener(Listener& listener) { listeners_.push_back(&listener); }

  void remove_listener(Listener& listener) { std::erase(listeners_, &listener); }

 private:
  friend class WorkSlot;

  void add() { ++in_hand_; }

  void remove() {
    --in_hand_;
    for (Listener* const listener : listeners_)
      listener->on_work_done();
  }

  uint32_t in_hand_ = 0;
  std::vector<Listener*> listeners_;
};

// Holds one place in counts of work. Whoever makes the origin work keeps the slot until the origin
// is certainly done with it, also when the exchange was cancelled before. An Origin that wraps an
// Origin adds its counts to the slot that it hands on.
class WorkSlot {
 public:
  WorkSlot() = default;

  // Counts one more; the count must outlive the slot.
  explicit WorkSlot(WorkCount& count) { also_count(count); }

  WorkSlot(WorkSlot&& other) noexcept : counts_(std::exchange(other.counts_, {})) {}

  WorkSlot& operator=(WorkSlot&& other) noexcept {
    if (this != &other) {
      release();
      counts_ = std::exchange(other.counts_, {});
    }
    return *this;
  }

  WorkSlot(const WorkSlot&) = delete;
  WorkSlot& operator=(const WorkSlot&) = delete;

  ~WorkSlot() { release(); }

  void also_count(WorkCount& count) {
    for (WorkCount*& place : counts_) {
      if (place != nullptr) continue;
      place = &count;
      count.add();
      return;
    }
    CHECK_INVARIANT(false);
  }

  void release() {
    for (WorkCount* const count : std::exchange(counts_, {})) {
      if (count != nullptr) count->remove();
    }
  }

 private:
  // The origin's, its class's, its gateway's, and one to spare.
  std::array<WorkCount*, 4> counts_{};
};

class Origin {
 public:
  Origin() = default;
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;
  Origin(Origin&&) = delete;
  Origin& operator=(Origin&&) = delete;
  virtual ~Origin() = default;

  // Never null. The head and the listener must outlive the returned call.
  [[nodiscard]] virtual std::unique_ptr<OriginCall> start(const RequestHead& head,
                                                          ResponseListener& listener,
                                                          WorkSlot slot) = 0;
};

// A call that fails with that error at the end of the turn.
[[nodiscard]] std::unique_ptr<OriginCall> make_failed_call(Loop& loop, ResponseListener& listener,
                                                           Error error);

}  // namespace ptth
