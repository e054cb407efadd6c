#pragma once

// A two-way pipe of bytes. TCP, Unix sockets, TLS and every reverse profile are ByteStreams; each
// owns the one beneath it, so a session cannot tell how it was reached.
//
// Contract, for all implementations:
//  * A listener is never called from inside a method of the stream; events come from the loop (or
//  from the stream beneath).
//  * on_failed is the terminal event: it comes at most once, and nothing comes after it. Writes
//  after it are dropped.
//  * on_end says that the other side will send no more (FIN, close_notify); the stream can still be
//  written.
//  * Bytes passed in a call are valid for that call only.
//  * Destroying a stream closes it at once and silences it: no listener call comes after. A stream
//  is never destroyed inside
//    one of its own callbacks; hand it to Loop::retire, after set_listener(nullptr).
//  * Written bytes leave at the end of the loop turn (one flush per turn), in order.

#include "common/error.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace ptth {

using Bytes = std::span<const uint8_t>;

class ByteStream {
 public:
  class Listener {
   public:
    virtual void on_bytes(Bytes bytes) = 0;
    virtual void on_end() = 0;
    virtual void on_failed(const Error& error) = 0;
    // unsent_bytes() has become smaller.
    virtual void on_sent() = 0;

   protected:
    ~Listener() = default;
  };

  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  ByteStream(ByteStream&&) = delete;
  ByteStream& operator=(ByteStream&&) = delete;
  virtual ~ByteStream() = default;

  // Borrowed; must outlive the stream or be replaced. While it is null nothing is read.
  virtual void set_listener(Listener* listener) = 0;

  // Copies the bytes into the stream's outgoing buffer. The caller keeps to a bound by looking at
  // unsent_bytes().
  virtual void write(Bytes bytes) = 0;

  // Bytes that were written here and not yet taken by the kernel (for TLS: as plaintext before, as
  // records after encryption).
  [[nodiscard]] virtual size_t unsent_bytes() const = 0;

  // No on_bytes between pause_reading and resume_reading, but for bytes that were already being
  // delivered.
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;

  // Ends our direction after the bytes written so far.
  virtual void shutdown() = 0;

  // For what can never become whole: once the stream is destroyed, which must follow, the other
  // side sees that the connection broke, not that it ended (TCP is reset, TLS has no close_notify).
  // Unsent bytes are dropped. Streams that always look so when they are destroyed leave it as it
  // is.
  virtual void break_off() {}

  // From now on the kernel takes no more than this beyond what it can send, so that what is more
  // urgent still overtakes the rest (TCP_NOTSENT_LOWAT). That takes more calls. Streams that share
  // a socket, or have none, leave it as it is.
  virtual void bound_kernel_unsent(size_t bytes) { static_cast<void>(bytes); }
};

}  // namespace ptth
