#pragma once

// A ByteStream with a test at its other end: what is written is kept, what the test gives is read.

#include "common/byte_stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace ptth {

class MemoryStream final : public ByteStream {
 public:
  void set_listener(Listener* listener) override { listener_ = listener; }

  void write(Bytes bytes) override {
    written_.insert(written_.end(), bytes.begin(), bytes.end());
    room_ -= std::min(room_, bytes.size());
    if (room_ == 0) unsent_ = kFull;
  }

  [[nodiscard]] size_t unsent_bytes() const override { return unsent_; }

  void pause_reading() override { reading_ = false; }

  void resume_reading() override { reading_ = true; }

  void shutdown() override { is_shut_down_ = true; }

  void break_off() override { is_broken_off_ = true; }

  void bound_kernel_unsent(size_t bytes) override { kernel_unsent_max_ = bytes; }

  // The other side's doings.
  void deliver(Bytes bytes) {
    if (listener_ != nullptr) listener_->on_bytes(bytes);
  }

  void deliver_end() {
    if (listener_ != nullptr) listener_->on_end();
  }

  void fail(const Error& error) {
    if (listener_ != nullptr) listener_->on_failed(error);
  }

  // The kernel holds so much back; a smaller number than before is told.
  void set_unsent(size_t unsent) {
    const bool sent = unsent < unsent_;
    unsent_ = unsent;
    if (sent && listener_ != nullptr) listener_->on_sent();
  }

  // So many bytes more; what is written behind them is held back.
  void let_through(size_t bytes) {
    room_ = bytes;
    set_unsent(0);
  }

  [[nodiscard]] std::vector<uint8_t> take_written() { return std::move(written_); }

  [[nodiscard]] bool is_reading() const { return reading_; }

  [[nodiscard]] bool is_shut_down() const { return is_shut_down_; }

  [[nodiscard]] bool is_broken_off() const { return is_broken_off_; }

  // 0: without a bound.
  [[nodiscard]] size_t kernel_unsent_max() const { return kernel_unsent_max_; }

 private:
  static constexpr size_t kFull = 10'000'000;

  Listener* listener_ = nullptr;
  std::vector<uint8_t> written_;
  size_t room_ = std::numeric_limits<size_t>::max();
  size_t unsent_ = 0;
  bool reading_ = true;
  bool is_shut_down_ = false;
  bool is_broken_off_ = false;
  size_t kernel_unsent_max_ = 0;
};

}  // namespace ptth
