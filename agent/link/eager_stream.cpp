#include "agent/link/eager_stream.h"

#include "agent/link/hello_stream.h"
#include "common/byte_queue.h"

#include <utility>

namespace ptth {

namespace {

class EagerStream final : public HelloStream {
 public:
  EagerStream(Loop& loop, std::unique_ptr<ByteStream> connected, Bytes first,
              Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener),
        begin_(loop, [this] { reversed(early_.front()); }) {
    if (!first.empty()) write(first);
    begin_.schedule();
  }

 private:
  void on_hello_bytes(Bytes bytes) override { early_.append(bytes); }

  // At most what one turn reads.
  ByteQueue early_;
  EndOfTurn begin_;
};

}  // namespace

std::unique_ptr<ByteStream> make_eager_stream(Loop& loop, std::unique_ptr<ByteStream> connected,
                                              Bytes first, Profile::Listener& listener) {
  return std::make_unique<EagerStream>(loop, std::move(connected), first, listener);
}

}  // namespace ptth
