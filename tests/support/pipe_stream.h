#pragma once

// Two connected ByteStreams in memory, with what makes sockets hard: small deliveries, full
// buffers, half-closed and cut connections. Nothing is ever delivered inside a method of a stream.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/loop.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace ptth::test {

enum class Delivery {
  kSameTurn,  // At the end of the turn: one loop.turn() carries everything to its end.
  kNextTurn,  // As sockets do: each step of each stream takes a turn.
};

// Of one direction.
struct PipeOptions {
  // The largest on_bytes.
  size_t chunk_bytes_max = SIZE_MAX;
  // What the other side has not read yet, at most: beyond it bytes count as unsent. As a socket's
  // buffers do.
  size_t capacity = size_t{1024} * 1024;
  // After so many bytes the connection breaks for both ends.
  size_t cut_after = SIZE_MAX;
  Delivery delivery = Delivery::kSameTurn;
};

class PipeStream final : public ByteStream {
 public:
  // Use make_pipe.
  PipeStream(Loop& loop, const PipeOptions& outgoing, const PipeOptions& incoming);
  ~PipeStream() override;
  PipeStream(const PipeStream&) = delete;
  PipeStream& operator=(const PipeStream&) = delete;
  PipeStream(PipeStream&&) = delete;
  PipeStream& operator=(PipeStream&&) = delete;

  void set_listener(Listener* listener) override;
  void write(Bytes bytes) override;

  [[nodiscard]] size_t unsent_bytes() const override { return unsent_.size(); }

  void pause_reading() override { paused_ = true; }

  void resume_reading() override;
  void shutdown() override;

  void break_off() override { cut(); }

  // Breaks the connection: both ends fail once what has arrived is read.
  void cut();

  // All bytes that the other end has been handed or still waits for.
  [[nodiscard]] size_t bytes_sent() const { return bytes_sent_; }

  [[nodiscard]] bool reading_paused() const { return paused_ || listener_ == nullptr; }

 private:
  friend struct PipePair make_pipe(Loop& loop, const PipeOptions& a_to_b,
                                   const PipeOptions& b_to_a);

  void transfer();
  void deliver();
  void schedule_delivery();
  void fall_apart();
  void report_failure();
  [[nodiscard]] size_t transferable() const;

  Loop& loop_;
  PipeOptions outgoing_;
  PipeOptions incoming_;
  PipeStream* other_ = nullptr;
  Listener* listener_ = nullptr;
  EndOfTurn transfer_;
  EndOfTurn deliver_;
  // Shared with the functions that were posted to the loop, which outlive the stream.
  std::shared_ptr<PipeStream*> self_;
  ByteQueue unsent_;
  ByteQueue arrived_;
  size_t bytes_sent_ = 0;
  bool delivery_posted_ = false;
  bool paused_ = false;
  bool shutdown_wanted_ = false;
  bool end_sent_ = false;
  bool end_arrived_ = false;
  bool end_delivered_ = false;
  bool broken_ = false;
  bool failure_reported_ = false;
};

struct PipePair {
  std::unique_ptr<PipeStream> a;
  std::unique_ptr<PipeStream> b;
};

[[nodiscard]] PipePair make_pipe(Loop& loop, const PipeOptions& a_to_b = {},
                                 const PipeOptions& b_to_a = {});

}  // namespace ptth::test
