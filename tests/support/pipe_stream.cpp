#include "tests/support/pipe_stream.h"

#include <algorithm>
#include <utility>

namespace ptth::test {

PipeStream::PipeStream(Loop& loop, const PipeOptions& outgoing, const PipeOptions& incoming)
    : loop_(loop),
      outgoing_(outgoing),
      incoming_(incoming),
      transfer_(loop, [this] { transfer(); }),
      deliver_(loop, [this] { deliver(); }),
      self_(std::make_shared<PipeStream*>(this)) {}

PipeStream::~PipeStream() {
  *self_ = nullptr;
  if (other_ == nullptr) return;
  other_->other_ = nullptr;
  // As the kernel does: what has left arrives, then the end.
  other_->end_arrived_ = true;
  other_->schedule_delivery();
}

void PipeStream::set_listener(Listener* listener) {
  listener_ = listener;
  if (listener_ != nullptr) schedule_delivery();
}

void PipeStream::write(Bytes bytes) {
  if (shutdown_wanted_ || broken_) return;
  unsent_.append(bytes);
  transfer_.schedule();
}

void PipeStream::resume_reading() {
  paused_ = false;
  schedule_delivery();
}

void PipeStream::shutdown() {
  shutdown_wanted_ = true;
  transfer_.schedule();
}

void PipeStream::cut() {
  if (other_ != nullptr) other_->fall_apart();
  fall_apart();
}

void PipeStream::fall_apart() {
  broken_ = true;
  unsent_.clear();
  schedule_delivery();
}

size_t PipeStream::transferable() const {
  const size_t waiting = other_->arrived_.size();
  const size_t room = outgoing_.capacity > waiting ? outgoing_.capacity - waiting : 0;
  return std::min({unsent_.size(), room, outgoing_.cut_after - bytes_sent_});
}

// From our unsent bytes into what has arrived at the other end.
void PipeStream::transfer() {
  if (broken_) return;
  if (other_ == nullptr) {
    if (!unsent_.empty()) fall_apart();
    return;
  }
  const size_t count = transferable();
  if (count > 0) {
    other_->arrived_.append(unsent_.front().first(count));
    unsent_.consume(count);
    bytes_sent_ += count;
    other_->schedule_delivery();
  }
  if (shutdown_wanted_ && unsent_.empty() && !end_sent_) {
    end_sent_ = true;
    other_->end_arrived_ = true;
    other_->schedule_delivery();
  }
  if (bytes_sent_ == outgoing_.cut_after) cut();
  if (count > 0 && listener_ != nullptr) listener_->on_sent();
}

void PipeStream::schedule_delivery() {
  if (incoming_.delivery == Delivery::kSameTurn) return deliver_.schedule();
  if (std::exchange(delivery_posted_, true)) return;
  loop_.post([self = self_] {
    if (*self == nullptr) return;
    (*self)->delivery_posted_ = false;
    (*self)->deliver();
  });
}

// One listener call at a time: the listener may change everything.
void PipeStream::deliver() {
  if (listener_ == nullptr || failure_reported_) return;
  if (paused_) return;
  if (arrived_.empty()) {
    if (broken_) return report_failure();
    if (!end_arrived_ || std::exchange(end_delivered_, true)) return;
    return listener_->on_end();
  }
  // The listener may not see memory that later deliveries move.
  ByteQueue chunk;
  chunk.append(arrived_.front().first(std::min(arrived_.size(), incoming_.chunk_bytes_max)));
  arrived_.consume(chunk.size());
  if (other_ != nullptr) other_->transfer_.schedule();
  if (!arrived_.empty() || end_arrived_ || broken_) schedule_delivery();
  listener_->on_bytes(chunk.front());
}

void PipeStream::report_failure() {
  failure_reported_ = true;
  listener_->on_failed({ErrorKind::kClosed, Side::kGateway, "the pipe was cut"});
}

PipePair make_pipe(Loop& loop, const PipeOptions& a_to_b, const PipeOptions& b_to_a) {
  PipePair pair{std::make_unique<PipeStream>(loop, a_to_b, b_to_a),
                std::make_unique<PipeStream>(loop, b_to_a, a_to_b)};
  pair.a->other_ = pair.b.get();
  pair.b->other_ = pair.a.get();
  return pair;
}

}  // namespace ptth::test
