#include "common/record_gate.h"

#include <utility>

namespace ptth {

namespace {

// RFC 8446 section 5.1 and, for the longest records of TLS 1.2, RFC 5246 section 6.2.3.
constexpr size_t kHeadSize = 5;
constexpr size_t kFragmentMax = (size_t{1} << 14) + 2048;
constexpr uint8_t kContentTypeMin = 20;
constexpr uint8_t kContentTypeMax = 24;

// How many bytes TLS is to be given: a record with its head; all of them if that is none, so that
// OpenSSL says what is wrong; 0: more must come first.
size_t next_piece(Bytes bytes) {
  if (bytes.empty()) return 0;
  if (bytes[0] < kContentTypeMin || bytes[0] > kContentTypeMax) return bytes.size();
  if (bytes.size() < kHeadSize) return 0;
  const size_t length = size_t{bytes[3]} * 256 + bytes[4];
  if (length > kFragmentMax) return bytes.size();
  return bytes.size() < kHeadSize + length ? 0 : kHeadSize + length;
}

}  // namespace

RecordGate::RecordGate(Loop& loop, std::unique_ptr<ByteStream> beneath)
    : beneath_(std::move(beneath)), delivery_(loop, [this] { deliver(); }) {}

void RecordGate::set_listener(ByteStream::Listener* listener) {
  listener_ = listener;
  listen_beneath();
  delivery_.schedule();
}

void RecordGate::listen_beneath() {
  if (!beneath_) return;
  beneath_->set_listener(listener_ != nullptr || raw_ != nullptr ? this : nullptr);
}

void RecordGate::write(Bytes bytes) {
  if (beneath_) beneath_->write(bytes);
}

size_t RecordGate::unsent_bytes() const {
  return beneath_ ? beneath_->unsent_bytes() : 0;
}

void RecordGate::pause_reading() {
  paused_ = true;
  if (beneath_ && raw_ == nullptr) beneath_->pause_reading();
}

void RecordGate::resume_reading() {
  paused_ = false;
  if (beneath_) beneath_->resume_reading();
  delivery_.schedule();
}

void RecordGate::shutdown() {
  if (beneath_) beneath_->shutdown();
}

void RecordGate::break_off() {
  if (beneath_) beneath_->break_off();
}

void RecordGate::bound_kernel_unsent(size_t bytes) {
  if (beneath_) beneath_->bound_kernel_unsent(bytes);
}

void RecordGate::divert(ByteStream::Listener& raw) {
  raw_ = &raw;
  listen_beneath();
  if (beneath_ && paused_) beneath_->resume_reading();
  delivery_.schedule();
}

void RecordGate::give_back(Bytes bytes) {
  raw_ = nullptr;
  ByteQueue rest = std::exchange(held_, {});
  held_.append(bytes);
  held_.append(rest.front());
  listen_beneath();
  if (beneath_ && paused_) beneath_->pause_reading();
  delivery_.schedule();
}

std::unique_ptr<ByteStream> RecordGate::release() {
  delivery_.cancel();
  held_.clear();
  raw_ = nullptr;
  if (!beneath_) return nullptr;
  beneath_->set_listener(nullptr);
  if (paused_) beneath_->resume_reading();
  return std::move(beneath_);
}

void RecordGate::on_bytes(Bytes bytes) {
  if (raw_ == nullptr) {
    feed(bytes);
  } else if (held_.empty()) {
    raw_->on_bytes(bytes);
  } else {
    held_.append(bytes);
  }
}

// What TLS is not given, as it was left or paused in between, or as the record is not whole, stays.
void RecordGate::feed(Bytes bytes) {
  ByteQueue joined;
  if (!held_.empty()) {
    held_.append(bytes);
    joined = std::exchange(held_, {});
    bytes = joined.front();
  }
  while (reads_records()) {
    const size_t size = next_piece(bytes);
    if (size == 0) break;
    listener_->on_bytes(bytes.first(size));
    bytes = bytes.subspan(size);
  }
  // Nothing was appended meanwhile: the stream beneath speaks only from the loop.
  held_.append(bytes);
  if (raw_ != nullptr && !held_.empty()) delivery_.schedule();
}

void RecordGate::deliver() {
  if (raw_ == nullptr) {
    feed({});
  } else if (!held_.empty()) {
    const ByteQueue bytes = std::exchange(held_, {});
    raw_->on_bytes(bytes.front());
  }
  ByteStream::Listener* const listener = raw_ != nullptr ? raw_ : listener_;
  const bool may_end = raw_ != nullptr || reads_records();
  if (end_pending_ && may_end && beneath_) {
    end_pending_ = false;
    listener->on_end();
  }
}

void RecordGate::on_end() {
  end_pending_ = true;
  delivery_.schedule();
}

void RecordGate::on_failed(const Error& error) {
  // As it does not matter any more what came before.
  delivery_.cancel();
  ByteStream::Listener* const listener = raw_ != nullptr ? raw_ : listener_;
  if (listener != nullptr) listener->on_failed(error);
}

void RecordGate::on_sent() {
  if (raw_ == nullptr && listener_ != nullptr) listener_->on_sent();
}

}  // namespace ptth
