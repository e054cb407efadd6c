#pragma once

// The HTTP/2 client on a connection that a worker dialled. worker_http2.cpp has its life, from the
// preface to the end; worker_http2_streams.cpp what nghttp2 says of streams.

#include "common/byte_stream.h"
#include "common/loop.h"
#include "tests/gateway/http2_engine.h"
#include "tests/gateway/worker_call.h"
#include "tests/gateway/worker_session.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace ptth::dev {

class Http2WorkerSession final : public WorkerSession,
                                 public ByteStream::Listener,
                                 public WorkerCall::Session {
 public:
  Http2WorkerSession(Loop& loop, std::unique_ptr<ByteStream> stream, Options options,
                     WorkerSession::Listener& listener);
  ~Http2WorkerSession() override;
  Http2WorkerSession(const Http2WorkerSession&) = delete;
  Http2WorkerSession& operator=(const Http2WorkerSession&) = delete;
  Http2WorkerSession(Http2WorkerSession&&) = delete;
  Http2WorkerSession& operator=(Http2WorkerSession&&) = delete;

  std::unique_ptr<OriginCall> call(const RequestHead& head, const RequestFaults& faults,
                                   ResponseListener& listener) override;
  void leave() override;
  bool attached() const override;
  size_t room() const override;

  size_t in_flight() const override { return calls_.size(); }

  size_t streams_limit() const override;

  const Options& options() const override { return options_; }

  // nghttp2's callbacks
  int begin_headers(const nghttp2_frame& frame);
  int header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  void frame_received(const nghttp2_frame& frame);
  void frame_sent(const nghttp2_frame& frame);
  int body_received(int32_t stream_id, Bytes bytes);
  void stream_closed(int32_t stream_id, uint32_t code);
  ssize_t read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags);

 private:
  // States:  kMagic -> kAttaching -> kAttached -> kClosing -> kEnded
  //             \____________\____________\___________________^
  // kMagic: only when the worker sends it. kClosing: nothing more to say, waiting for the worker's
  // last byte.
  enum class State { kMagic, kAttaching, kAttached, kClosing, kEnded };

  // ByteStream::Listener
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // WorkerCall::Session
  void on_upload_ready(WorkerCall& call) override;
  void on_body_delivered(WorkerCall& call, size_t count) override;
  void on_call_gone(WorkerCall& call) override;

  void send_settings();
  Bytes take_magic(Bytes bytes);
  void feed(Bytes bytes);
  void flush();
  void send(Bytes bytes);
  void check_attached();
  void take_origins(const nghttp2_ext_origin& announced);
  void reset_by_fault(WorkerCall& call);
  void silence_expired();
  void finish(const Error& error);
  WorkerCall* find(int32_t stream_id);

  Loop& loop_;
  Options options_;
  WorkerSession::Listener& listener_;
  std::unique_ptr<ByteStream> stream_;
  Http2Handle session_;
  State state_ = State::kMagic;
  size_t magic_seen_ = 0;
  size_t magic_to_swallow_ = 0;
  bool settings_seen_ = false;
  bool settings_acknowledged_ = false;
  bool origins_seen_ = false;
  bool leaving_ = false;
  bool ping_waiting_ = false;
  bool reading_stopped_ = false;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  // Every stream that nghttp2 has not closed; null when the call has gone before its stream.
  std::unordered_map<int32_t, WorkerCall*> calls_;
  std::vector<int32_t> uploads_taken_;
  EndOfTurn flush_;
  Timer attach_timer_;
  Timer silence_timer_;
  Timer close_timer_;
};

}  // namespace ptth::dev
