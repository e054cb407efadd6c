#pragma once

// One HTTP/1.1 connection to the origin: it carries one call at a time and says afterwards whether
// another may follow (security.md, "Answers: the origin pool").

#include "agent/origin/http_origin.h"
#include "agent/origin/origin.h"
#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/http1_response_parser.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace ptth {

class OriginConnection final : private ByteStream::Listener {
 public:
  // Whoever lends connections out.
  class Owner {
   public:
    // The call has ended well and another may follow.
    virtual void on_connection_free(OriginConnection& connection) = 0;
    // Of no more use; retire it.
    virtual void on_connection_done(OriginConnection& connection) = 0;
    // Nobody waited for what it was sending, and it did not stop.
    virtual void on_origin_cut_off() = 0;

   protected:
    ~Owner() = default;
  };

  // The call that uses the connection now.
  class Caller {
   public:
    [[nodiscard]] virtual ResponseListener& response_listener() = 0;
    // The caller's connection is gone; called before the listener's last event.
    virtual void on_connection_released() = 0;
    // The reused connection ended before a byte of the answer. True: the caller sends the request
    // again elsewhere.
    virtual bool on_stale_connection() = 0;

   protected:
    ~Caller() = default;
  };

  OriginConnection(Loop& loop, std::unique_ptr<ByteStream> stream, const HttpOriginOptions& options,
                   Owner& owner);
  ~OriginConnection();
  OriginConnection(const OriginConnection&) = delete;
  OriginConnection& operator=(const OriginConnection&) = delete;
  OriginConnection(OriginConnection&&) = delete;
  OriginConnection& operator=(OriginConnection&&) = delete;

  // Sends the head. An error: the head cannot be written as HTTP/1.1; nothing was sent.
  [[nodiscard]] Result<void> begin(const RequestHead& head, Caller& caller);
  void write_body(Bytes bytes);
  void end_body(const FieldList& trailers);
  void pause_response();
  void resume_response();
  // The caller goes away before its answer is complete. The slot is kept until the origin has
  // closed too, has sent more than it may, or the linger is over.
  void abandon(WorkSlot slot);

  // Waits for its next call; closes itself when the origin ends it or the idle time is over.
  void rest();

  size_t pool_index = 0;  // Kept by the owner.

 private:
  enum class State { kResting, kCalling, kLingering, kDone };

  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  void read_answer(Bytes bytes);
  void throw_away(Bytes bytes);
  void finish_answer(Bytes leftover);
  void lose(const Error& error);
  void fail(const Error& error);
  void close();
  void report_taken();
  void arm_timer();
  void on_timeout();

  Loop& loop_;
  const HttpOriginOptions& options_;
  Owner& owner_;
  const std::string own_host_;
  State state_ = State::kResting;
  Caller* caller_ = nullptr;
  uint64_t calls_ = 0;
  uint32_t interim_answers_ = 0;
  bool body_is_chunked_ = false;
  bool request_complete_ = false;
  bool response_started_ = false;
  bool response_paused_ = false;
  uint64_t body_bytes_ = 0;
  uint64_t body_bytes_reported_ = 0;
  uint64_t call_deadline_ms_ = 0;
  WorkSlot lingering_slot_;
  uint32_t linger_bytes_left_ = 0;
  ByteQueue scratch_;
  Http1ResponseParser parser_;
  Timer timer_;
  // Last: nothing arrives while the rest goes away.
  std::unique_ptr<ByteStream> stream_;
};

}  // namespace ptth
