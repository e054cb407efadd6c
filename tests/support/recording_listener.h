#pragma once

// A stream's listener that keeps what it hears, and checks the contract of byte_stream.h while it
// does.

#include "common/byte_stream.h"

#include <optional>
#include <string>
#include <string_view>

namespace ptth::test {

[[nodiscard]] inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

[[nodiscard]] inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class RecordingListener final : public ByteStream::Listener {
 public:
  void on_bytes(Bytes bytes) override {
    CHECK_INVARIANT(!failure && ends == 0);
    received.append(as_text(bytes));
    ++deliveries;
  }

  void on_end() override {
    CHECK_INVARIANT(!failure && ends == 0);
    ++ends;
  }

  void on_failed(const Error& error) override {
    CHECK_INVARIANT(!failure);
    failure = error;
  }

  void on_sent() override {
    CHECK_INVARIANT(!failure);
    ++sent;
  }

  std::string received;
  int deliveries = 0;
  int ends = 0;
  int sent = 0;
  std::optional<Error> failure;
};

}  // namespace ptth::test
