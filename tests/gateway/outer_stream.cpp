#include "tests/gateway/outer_stream.h"

#include <algorithm>
#include <string>
#include <utility>

#include <nghttp2/nghttp2.h>

namespace ptth::dev {

OuterStream::~OuterStream() {
  if (session_ != nullptr) session_->part(*this);
}

void OuterStream::set_listener(ByteStream::Listener* listener) {
  listener_ = listener;
  if (session_ != nullptr) session_->deliver_soon();
}

void OuterStream::write(Bytes bytes) {
  if (failed_ || shutdown_wanted_ || !is_open()) return;
  outgoing_.append(bytes);
  if (session_ != nullptr) session_->resume(id_);
}

void OuterStream::resume_reading() {
  paused_ = false;
  if (session_ != nullptr) session_->deliver_soon();
}

void OuterStream::shutdown() {
  shutdown_wanted_ = true;
  if (session_ != nullptr && is_open()) session_->resume(id_);
}

void OuterStream::return_credit(size_t count) {
  if (session_ != nullptr && is_open()) session_->return_credit(id_, count);
}

void OuterStream::on_data(Bytes bytes) {
  if (failed_) return;
  if (!incoming_.empty() || !deliverable()) {
    incoming_.append(bytes);
    return;
  }
  return_credit(bytes.size());
  listener_->on_bytes(bytes);
}

void OuterStream::on_closed(uint32_t code) {
  id_ = 0;
  is_done_ = end_arrived_ && code == NGHTTP2_NO_ERROR;
  if (is_done_) return;
  fail({ErrorKind::kClosed, Side::kOrigin,
        "the worker reset the channel: " + std::string(nghttp2_http2_strerror(code)), true});
}

size_t OuterStream::read_outgoing(std::span<uint8_t> memory, Ending& ending) {
  const size_t count = std::min(memory.size(), outgoing_.size());
  std::copy_n(outgoing_.front().begin(), count, memory.begin());
  outgoing_.consume(count);
  outgoing_shrank_ = outgoing_shrank_ || count > 0;
  end_sent_ = shutdown_wanted_ && outgoing_.empty();
  if (end_sent_) ending = Ending::kEndOfStream;
  return count;
}

void OuterStream::deliver() {
  if (!incoming_.empty() && deliverable()) {
    // Moved out: the listener may pause.
    const ByteQueue bytes = std::exchange(incoming_, {});
    return_credit(bytes.size());
    listener_->on_bytes(bytes.front());
  }
  if (!end_arrived_ || end_delivered_ || !incoming_.empty() || !deliverable()) return;
  end_delivered_ = true;
  listener_->on_end();
}

void OuterStream::tell_sent() {
  if (std::exchange(outgoing_shrank_, false) && listener_ != nullptr && !failed_) {
    listener_->on_sent();
  }
}

void OuterStream::fail(const Error& error) {
  if (is_done_ || std::exchange(failed_, true)) return;
  incoming_.clear();
  outgoing_.clear();
  if (listener_ != nullptr) std::exchange(listener_, nullptr)->on_failed(error);
}

}  // namespace ptth::dev
