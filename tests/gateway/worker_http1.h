#pragma once

// The HTTP/1.1 client on a connection that a worker dialled: one exchange at a time, the next one
// on the same connection if both sides may keep it (RFC 9112 section 9.3). A worker has as many of
// these as exchanges at once.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/http1_response_parser.h"
#include "common/loop.h"
#include "tests/gateway/worker_call.h"
#include "tests/gateway/worker_session.h"

#include <cstdint>
#include <memory>

namespace ptth::dev {

class Http1WorkerSession final : public WorkerSession,
                                 public ByteStream::Listener,
                                 public WorkerCall::Session {
 public:
  Http1WorkerSession(Loop& loop, std::unique_ptr<ByteStream> stream, Options options,
                     WorkerSession::Listener& listener);
  ~Http1WorkerSession() override;
  Http1WorkerSession(const Http1WorkerSession&) = delete;
  Http1WorkerSession& operator=(const Http1WorkerSession&) = delete;
  Http1WorkerSession(Http1WorkerSession&&) = delete;
  Http1WorkerSession& operator=(Http1WorkerSession&&) = delete;

  std::unique_ptr<OriginCall> call(const RequestHead& head, const RequestFaults& faults,
                                   ResponseListener& listener) override;
  void leave() override;

  bool attached() const override { return state_ == State::kAttached && !leaving_; }

  size_t room() const override { return attached() && !busy() ? 1 : 0; }

  size_t in_flight() const override { return busy() ? 1 : 0; }

  size_t streams_limit() const override { return 1; }

  const Options& options() const override { return options_; }

 private:
  // kOpening -> kAttached -> kClosing -> kEnded, and from each to kEnded. kOpening: until the end
  // of the turn, as nothing is called from inside start. kClosing: waiting for the worker's end.
  enum class State { kOpening, kAttached, kClosing, kEnded };

  // ByteStream::Listener
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // WorkerCall::Session
  void on_upload_ready(WorkerCall& call) override;
  void on_body_delivered(WorkerCall& call, size_t count) override;
  void on_call_gone(WorkerCall& call) override;

  void flush();
  void write_upload();
  void send();
  void feed(Bytes bytes);
  void give_head();
  void give_body(Bytes bytes);
  void give_end();
  void reset_by_fault();
  void close();
  void finish(const Error& error);
  [[nodiscard]] bool may_ask_again() const;

  [[nodiscard]] bool busy() const { return answer_open_ || upload_open_; }

  Loop& loop_;
  Options options_;
  WorkerSession::Listener& listener_;
  std::unique_ptr<ByteStream> stream_;
  Http1ResponseParser parser_;
  State state_ = State::kOpening;
  // Null once the answer has come whole; the call may then still hold a part of it.
  WorkerCall* call_ = nullptr;
  bool answer_open_ = false;
  bool upload_open_ = false;
  bool upload_chunked_ = false;
  bool idempotent_ = false;  // The request, RFC 9110 section 9.2.2.
  bool leaving_ = false;
  bool given_up_ = false;  // The user went away in the middle.
  bool paused_ = false;
  bool stalled_ = false;  // By fault: reading stops for good.
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  ByteQueue out_;
  EndOfTurn flush_;
  Timer close_timer_;
};

}  // namespace ptth::dev
