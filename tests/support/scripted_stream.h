#pragma once

// A ByteStream for the lowest place of a pipe, without a socket: it keeps what was written, and the
// test speaks for the other side.

#include "common/byte_stream.h"

#include <memory>
#include <string>
#include <string_view>

namespace ptth::test {

// What is seen from the far end; outlives the stream.
struct Wire {
  // What the other side does. Nothing happens while nobody listens.
  void say(std::string_view bytes) const;
  void end() const;
  void fail(const Error& error) const;

  std::string written;
  ByteStream::Listener* listener = nullptr;
  bool paused = false;
  bool shut_down = false;
  bool destroyed = false;
};

[[nodiscard]] std::unique_ptr<ByteStream> make_scripted_stream(Wire& wire);

}  // namespace ptth::test
