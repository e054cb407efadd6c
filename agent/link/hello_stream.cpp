#include "agent/link/hello_stream.h"

#include <utility>
#include <vector>

namespace ptth {

HelloStream::HelloStream(Loop& loop, std::unique_ptr<ByteStream> beneath,
                         Profile::Listener& profile_listener)
    : beneath_(std::move(beneath)),
      profile_listener_(profile_listener),
      delivery_(loop, [this] { deliver_leftover(); }) {
  beneath_->set_listener(this);
}

void HelloStream::set_listener(ByteStream::Listener* listener) {
  listener_ = listener;
  if (state_ == State::kHello && listener == nullptr) state_ = State::kFailed;
  if (state_ != State::kHello) beneath_->set_listener(listener != nullptr ? this : nullptr);
  if (listener_ != nullptr && holding()) delivery_.schedule();
}

void HelloStream::write(Bytes bytes) {
  beneath_->write(bytes);
}

size_t HelloStream::unsent_bytes() const {
  return beneath_->unsent_bytes();
}

void HelloStream::pause_reading() {
  paused_ = true;
  beneath_->pause_reading();
}

void HelloStream::resume_reading() {
  paused_ = false;
  beneath_->resume_reading();
  if (listener_ != nullptr && holding()) delivery_.schedule();
}

void HelloStream::shutdown() {
  beneath_->shutdown();
}

void HelloStream::break_off() {
  beneath_->break_off();
}

void HelloStream::bound_kernel_unsent(size_t bytes) {
  beneath_->bound_kernel_unsent(bytes);
}

std::unique_ptr<ByteStream> HelloStream::take_beneath() {
  beneath_->set_listener(nullptr);
  return std::move(beneath_);
}

void HelloStream::set_beneath(std::unique_ptr<ByteStream> beneath) {
  beneath_ = std::move(beneath);
  beneath_->set_listener(this);
}

void HelloStream::reversed(ChannelProtocol channel, Bytes leftover) {
  if (state_ != State::kHello) return;
  state_ = State::kReversed;
  leftover_.append(leftover);
  if (listener_ == nullptr) beneath_->set_listener(nullptr);
  profile_listener_.on_reversed(channel);
}

void HelloStream::redirected(const Redirect* redirect) {
  if (state_ != State::kHello) return;
  state_ = State::kFailed;
  beneath_->set_listener(nullptr);
  profile_listener_.on_redirected(redirect);
}

void HelloStream::read_magic(Bytes bytes) {
  switch (magic_.take(bytes)) {
    case MagicCheck::Status::kNeedMore:
      return;
    case MagicCheck::Status::kWrong:
      not_reversed(magic_.error(bytes));
      return;
    case MagicCheck::Status::kDone:
      reversed(ChannelProtocol::kHttp2, bytes);
      return;
  }
}

void HelloStream::not_reversed(const Error& error) {
  if (state_ != State::kHello) return;
  state_ = State::kFailed;
  beneath_->set_listener(nullptr);
  profile_listener_.on_not_reversed(error);
}

void HelloStream::on_bytes(Bytes bytes) {
  if (state_ == State::kHello) {
    on_hello_bytes(bytes);
    return;
  }
  deliver_leftover();
  if (!holding() && listener_ != nullptr) {
    listener_->on_bytes(bytes);
  } else {
    leftover_.append(bytes);
  }
}

void HelloStream::on_end() {
  if (state_ == State::kHello) {
    not_reversed(explain_end({ErrorKind::kClosed, Side::kGateway,
                              "the gateway closed the connection before it was reversed", true}));
    return;
  }
  deliver_leftover();
  if (!holding() && listener_ != nullptr) {
    listener_->on_end();
  } else {
    end_behind_leftover_ = true;
  }
}

void HelloStream::on_failed(const Error& error) {
  if (state_ == State::kHello) {
    not_reversed(explain_end(error));
    return;
  }
  deliver_leftover();
  delivery_.cancel();
  if (listener_ != nullptr) listener_->on_failed(error);
}

void HelloStream::on_sent() {
  if (state_ == State::kReversed && listener_ != nullptr) listener_->on_sent();
}

void HelloStream::deliver_leftover() {
  if (listener_ == nullptr || paused_ || !holding()) return;
  if (!leftover_.empty()) {
    // Moved out: the listener may pause, or let go of us.
    ByteQueue bytes;
    std::swap(bytes, leftover_);
    listener_->on_bytes(bytes.front());
  }
  if (end_behind_leftover_ && leftover_.empty() && listener_ != nullptr) {
    end_behind_leftover_ = false;
    listener_->on_end();
  }
}

}  // namespace ptth
