#include "agent/link/magic_stream.h"

#include "agent/link/hello_stream.h"

#include <utility>

namespace ptth {

namespace {

class MagicStream final : public HelloStream {
 public:
  MagicStream(Loop& loop, std::unique_ptr<ByteStream> connected, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener) {}

 private:
  void on_hello_bytes(Bytes bytes) override { read_magic(bytes); }
};

class Http1Stream final : public HelloStream {
 public:
  Http1Stream(Loop& loop, std::unique_ptr<ByteStream> connected, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener),
        at_once_(loop, [this] { reversed(ChannelProtocol::kHttp11, {}); }) {
    at_once_.schedule();
  }

 private:
  void on_hello_bytes(Bytes bytes) override { reversed(ChannelProtocol::kHttp11, bytes); }

  EndOfTurn at_once_;
};

}  // namespace

std::unique_ptr<ByteStream> make_http1_stream(Loop& loop, std::unique_ptr<ByteStream> connected,
                                              Profile::Listener& listener) {
  return std::make_unique<Http1Stream>(loop, std::move(connected), listener);
}

std::unique_ptr<ByteStream> make_magic_stream(Loop& loop, std::unique_ptr<ByteStream> connected,
                                              Profile::Listener& listener) {
  return std::make_unique<MagicStream>(loop, std::move(connected), listener);
}

}  // namespace ptth
