#pragma once

// A long exchange between two streams, each of which sends as much as its bound on unsent bytes
// allows, pauses now and then, and checks every byte: for pipes and for sockets.

#include "common/byte_stream.h"
#include "tests/support/recording_listener.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ptth::test {

// A long text that repeats after a prime number of bytes, so that a block that is missing, doubled
// or in the wrong place shows.
class Pattern {
 public:
  static constexpr size_t kPeriod = 65'521;

  Pattern() {
    for (size_t i = 0; i < 2 * kPeriod; ++i)
      text_ += static_cast<char>((i % kPeriod) * 2'654'435'761U >> 13U);
  }

  // At most kPeriod bytes.
  [[nodiscard]] std::string_view at(size_t position, size_t size) const {
    return std::string_view(text_).substr(position % kPeriod, size);
  }

 private:
  std::string text_;
};

// Sends the pattern as its bound allows, and checks that it receives it.
class Sequence final : public ByteStream::Listener {
 public:
  static constexpr size_t kUnsentMax = size_t{200} * 1000;
  static constexpr size_t kPauseEvery = size_t{1000} * 1000;

  Sequence(ByteStream& stream, size_t total) : stream_(stream), total_(total) {
    stream_.set_listener(this);
    send();
  }

  void on_bytes(Bytes bytes) override {
    CHECK_INVARIANT(!paused && !ended);
    const size_t before = received;
    for (Bytes rest = bytes; !rest.empty();) {
      const Bytes part = rest.first(std::min(rest.size(), Pattern::kPeriod));
      if (as_text(part) != pattern_.at(received, part.size())) ++wrong;
      received += part.size();
      rest = rest.subspan(part.size());
    }
    paused = received / kPauseEvery != before / kPauseEvery;
    if (paused) stream_.pause_reading();
  }

  void on_end() override { ended = true; }

  void on_failed(const Error& error) override { failure = error; }

  void on_sent() override { send(); }

  void resume() {
    if (!std::exchange(paused, false)) return;
    stream_.resume_reading();
  }

  size_t received = 0;
  size_t wrong = 0;
  size_t unsent_max = 0;
  bool paused = false;
  bool ended = false;
  std::optional<Error> failure;

 private:
  // Blocks of many sizes: small ones are gathered, large ones leave directly.
  void send() {
    while (sent_ < total_ && stream_.unsent_bytes() < kUnsentMax) {
      size_ = size_ * 5 % Pattern::kPeriod;
      const size_t size = std::min(total_ - sent_, size_);
      stream_.write(as_bytes(pattern_.at(sent_, size)));
      sent_ += size;
      unsent_max = std::max(unsent_max, stream_.unsent_bytes());
      if (sent_ == total_) stream_.shutdown();
    }
  }

  ByteStream& stream_;
  size_t total_;
  Pattern pattern_;
  size_t sent_ = 0;
  size_t size_ = 17;
};

}  // namespace ptth::test
