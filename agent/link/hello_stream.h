#pragma once

// HelloStream: what the profiles share that keep the connected stream as it is. It says its hello
// on the stream beneath, then passes everything through; bytes that came behind the hello are the
// first bytes of the session. set_listener(nullptr) before the hello is over abandons it.

#include "agent/link/magic_check.h"
#include "agent/link/profile.h"
#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/loop.h"

#include <memory>

namespace ptth {

class HelloStream : public ByteStream, private ByteStream::Listener {
 public:
  void set_listener(ByteStream::Listener* listener) final;
  void write(Bytes bytes) final;
  [[nodiscard]] size_t unsent_bytes() const final;
  void pause_reading() final;
  void resume_reading() final;
  void shutdown() final;
  void break_off() final;
  void bound_kernel_unsent(size_t bytes) final;

 protected:
  HelloStream(Loop& loop, std::unique_ptr<ByteStream> beneath, Profile::Listener& profile_listener);

  // What the gateway sends until reversed() or not_reversed() is called.
  virtual void on_hello_bytes(Bytes bytes) = 0;

  // The stream beneath has ended, or failed, within the hello: the error to report.
  [[nodiscard]] virtual Error explain_end(const Error& error) { return error; }

  // The gateway asked for patience. Nothing is called back from it.
  void hello_progress() { profile_listener_.on_hello_progress(); }

  // As the Profile::Listener has them. Nothing is called back from them either.
  void carried(const Carrier& carrier) {
    if (in_hello()) profile_listener_.on_carried(carrier);
  }

  void replacement_wanted() {
    if (state_ != State::kFailed) profile_listener_.on_replacement_wanted();
  }

  // The gateway keeps the connection for later.
  void held(ChannelProtocol channel) { profile_listener_.on_held(channel); }

  // As Profile::Listener::on_redirected; to be called as the two below.
  void redirected(const Redirect* redirect);

  // The hello is over; leftover is what followed it. To be called from the loop, as the last
  // statement.
  void reversed(ChannelProtocol channel, Bytes leftover);

  void reversed(Bytes leftover) { reversed(ChannelProtocol::kHttp2, leftover); }

  // The gateway begins as the HTTP/2 client, with the magic of RFC 9113 section 3.4: with its end
  // the hello is over, or with what comes instead. As the two above.
  void read_magic(Bytes bytes);

  void not_reversed(const Error& error);

  [[nodiscard]] ByteStream& beneath() { return *beneath_; }

  // For a hello that leaves TLS, or begins it, on the same connection. The stream that is taken has
  // no listener any more and is replaced in the same callback; what is not used again is retired.
  [[nodiscard]] std::unique_ptr<ByteStream> take_beneath();
  void set_beneath(std::unique_ptr<ByteStream> beneath);

  // Neither over nor abandoned.
  [[nodiscard]] bool in_hello() const { return state_ == State::kHello; }

 private:
  enum class State { kHello, kReversed, kFailed };

  void on_bytes(Bytes bytes) final;
  void on_end() final;
  void on_failed(const Error& error) final;
  void on_sent() final;
  void deliver_leftover();

  [[nodiscard]] bool holding() const { return !leftover_.empty() || end_behind_leftover_; }

  std::unique_ptr<ByteStream> beneath_;
  Profile::Listener& profile_listener_;
  ByteStream::Listener* listener_ = nullptr;
  State state_ = State::kHello;
  MagicCheck magic_;
  ByteQueue leftover_;
  bool paused_ = false;
  bool end_behind_leftover_ = false;
  EndOfTurn delivery_;
};

}  // namespace ptth
