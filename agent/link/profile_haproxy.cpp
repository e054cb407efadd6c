// The dialect of HAProxy (protocols.md section 1): we, who dialled, also send the magic of an
// HTTP/2 client, though we are the server. The gateway sends no magic, only its SETTINGS.

#include "agent/link/client_magic.h"
#include "agent/link/hello_stream.h"
#include "agent/link/profile.h"

#include <utility>

namespace ptth {

namespace {

class HaproxyStream final : public HelloStream {
 public:
  HaproxyStream(Loop& loop, std::unique_ptr<ByteStream> connected, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener),
        hello_sent_(loop, [this] { reversed(early_.front()); }) {
    write(kClientMagic);
    hello_sent_.schedule();
  }

 private:
  void on_hello_bytes(Bytes bytes) override { early_.append(bytes); }

  // At most what one turn reads.
  ByteQueue early_;
  EndOfTurn hello_sent_;
};

class HaproxyProfile final : public Profile {
 public:
  [[nodiscard]] std::string_view name() const override { return "haproxy"; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return {"h2"}; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kHoldAndClose; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return true; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return std::make_unique<HaproxyStream>(loop, std::move(connected), listener);
  }
};

}  // namespace

std::unique_ptr<Profile> make_haproxy_profile() {
  return std::make_unique<HaproxyProfile>();
}

}  // namespace ptth
