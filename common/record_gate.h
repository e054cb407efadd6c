#pragma once

// RecordGate: between TLS and the stream that carries it. It gives TLS whole records, one by one,
// so that nothing behind a record is lost in OpenSSL when the other side leaves TLS there without a
// word (protocols.md section 6); and it gives the raw stream back.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/loop.h"

#include <memory>

namespace ptth {

class RecordGate final : public ByteStream, private ByteStream::Listener {
 public:
  RecordGate(Loop& loop, std::unique_ptr<ByteStream> beneath);

  // For the TLS stream above, which owns the gate.
  void set_listener(ByteStream::Listener* listener) override;
  void write(Bytes bytes) override;
  [[nodiscard]] size_t unsent_bytes() const override;
  void pause_reading() override;
  void resume_reading() override;
  void shutdown() override;
  void break_off() override;
  void bound_kernel_unsent(size_t bytes) override;

  // From now on what comes goes to raw as it came, beginning with what TLS was not given. Also from
  // inside a callback of the TLS stream; raw is called from the loop. raw outlives this, or the
  // gate is given back to TLS or released before.
  void divert(ByteStream::Listener& raw);
  // TLS goes on: with these bytes, then with what follows. Nothing is called from inside.
  void give_back(Bytes bytes);
  // The stream beneath, without a listener. TLS is then cut off without having said goodbye: what
  // it writes is dropped. Bytes that nobody was given are lost: from inside raw's on_bytes, none.
  [[nodiscard]] std::unique_ptr<ByteStream> release();

 private:
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  [[nodiscard]] bool reads_records() const {
    return beneath_ != nullptr && listener_ != nullptr && raw_ == nullptr && !paused_;
  }

  void listen_beneath();
  void feed(Bytes bytes);
  void deliver();

  std::unique_ptr<ByteStream> beneath_;  // Null once released.
  ByteStream::Listener* listener_ = nullptr;
  ByteStream::Listener* raw_ = nullptr;
  ByteQueue held_;  // The part of a record, or what came while nobody could be told.
  bool paused_ = false;
  bool end_pending_ = false;  // Behind what is held.
  EndOfTurn delivery_;
};

}  // namespace ptth
