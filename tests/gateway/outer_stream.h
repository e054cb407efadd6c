#pragma once

// A worker's channel in one stream of the HTTP/2 connection that it dialled (RFC 8441): what is in
// its DATA, as a ByteStream. Beneath a WorkerSession, and carried by an OuterSession.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/error.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace ptth::dev {

class OuterStream final : public ByteStream {
 public:
  // The connection. It outlives the stream, or says so by lose().
  class Session {
   public:
    // Something is to be sent on this stream.
    virtual void resume(int32_t id) = 0;
    // Bytes have been taken: the worker may send as many more.
    virtual void return_credit(int32_t id, size_t count) = 0;
    // deliver() is to be called.
    virtual void deliver_soon() = 0;
    // The stream goes, and is forgotten.
    virtual void part(OuterStream& stream) = 0;

   protected:
    ~Session() = default;
  };

  enum class Ending { kOpen, kEndOfStream };

  OuterStream(Session& session, int32_t id) : session_(&session), id_(id) {}

  ~OuterStream() override;
  OuterStream(const OuterStream&) = delete;
  OuterStream& operator=(const OuterStream&) = delete;
  OuterStream(OuterStream&&) = delete;
  OuterStream& operator=(OuterStream&&) = delete;

  void set_listener(ByteStream::Listener* listener) override;
  void write(Bytes bytes) override;

  // What the connection has taken is its own to bound.
  [[nodiscard]] size_t unsent_bytes() const override { return outgoing_.size(); }

  void pause_reading() override { paused_ = true; }

  void resume_reading() override;
  void shutdown() override;

  // For the session
  [[nodiscard]] int32_t id() const { return id_; }

  // HTTP/2 has not closed it.
  [[nodiscard]] bool is_open() const { return id_ != 0; }

  // All that was written has gone, with the end behind it.
  [[nodiscard]] bool has_ended() const { return end_sent_; }

  void on_data(Bytes bytes);

  void on_stream_end() { end_arrived_ = true; }

  // code: 0 also when both directions have ended.
  void on_closed(uint32_t code);
  size_t read_outgoing(std::span<uint8_t> memory, Ending& ending);
  // Hands on what has waited for the listener: bytes, and the end.
  void deliver();
  void tell_sent();
  void fail(const Error& error);

  void lose() { session_ = nullptr; }

 private:
  [[nodiscard]] bool deliverable() const { return listener_ != nullptr && !paused_ && !failed_; }

  void return_credit(size_t count);

  Session* session_;
  int32_t id_;
  ByteStream::Listener* listener_ = nullptr;
  // The worker's credit bounds what waits here.
  ByteQueue incoming_;
  ByteQueue outgoing_;
  bool paused_ = false;
  bool end_arrived_ = false;
  bool end_delivered_ = false;
  bool shutdown_wanted_ = false;
  bool end_sent_ = false;
  bool outgoing_shrank_ = false;
  bool is_done_ = false;
  bool failed_ = false;
};

}  // namespace ptth::dev
