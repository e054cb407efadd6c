#include "agent/link/magic_filter.h"

#include "agent/link/magic_check.h"

#include <utility>

namespace ptth {

namespace {

class MagicFilter final : public ByteStream, private ByteStream::Listener {
 public:
  explicit MagicFilter(std::unique_ptr<ByteStream> beneath) : beneath_(std::move(beneath)) {}

  void set_listener(ByteStream::Listener* listener) override {
    listener_ = listener;
    const bool reads = listener != nullptr && state_ != State::kFailed;
    beneath_->set_listener(reads ? this : nullptr);
  }

  void write(Bytes bytes) override {
    if (state_ != State::kFailed) beneath_->write(bytes);
  }

  [[nodiscard]] size_t unsent_bytes() const override { return beneath_->unsent_bytes(); }

  void pause_reading() override { beneath_->pause_reading(); }

  void resume_reading() override { beneath_->resume_reading(); }

  void shutdown() override { beneath_->shutdown(); }

  void break_off() override { beneath_->break_off(); }

  void bound_kernel_unsent(size_t bytes) override { beneath_->bound_kernel_unsent(bytes); }

 private:
  enum class State { kMagic, kThrough, kFailed };

  void on_bytes(Bytes bytes) override {
    if (state_ == State::kMagic) {
      switch (magic_.take(bytes)) {
        case MagicCheck::Status::kNeedMore:
          return;
        case MagicCheck::Status::kWrong:
          state_ = State::kFailed;
          beneath_->set_listener(nullptr);
          listener_->on_failed(magic_.error(bytes));
          return;
        case MagicCheck::Status::kDone:
          state_ = State::kThrough;
          break;
      }
    }
    if (!bytes.empty()) listener_->on_bytes(bytes);
  }

  void on_end() override { listener_->on_end(); }

  void on_failed(const Error& error) override { listener_->on_failed(error); }

  void on_sent() override { listener_->on_sent(); }

  std::unique_ptr<ByteStream> beneath_;
  ByteStream::Listener* listener_ = nullptr;
  State state_ = State::kMagic;
  MagicCheck magic_;
};

}  // namespace

std::unique_ptr<ByteStream> make_magic_filter(std::unique_ptr<ByteStream> beneath) {
  return std::make_unique<MagicFilter>(std::move(beneath));
}

}  // namespace ptth
