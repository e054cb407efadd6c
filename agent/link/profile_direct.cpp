// Roles are swapped right after TLS (protocols.md sections 0 and 5): we are silent until the
// gateway, as the HTTP/2 client, has sent its magic. nghttp2 is told to expect none, so that one
// kind of session serves both dialects; we verify it here.

#include "agent/link/hello_stream.h"
#include "agent/link/magic_check.h"
#include "agent/link/profile.h"

#include <string>
#include <utility>

namespace ptth {

namespace {

class DirectStream final : public HelloStream {
 public:
  DirectStream(Loop& loop, std::unique_ptr<ByteStream> connected, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener) {}

 private:
  void on_hello_bytes(Bytes bytes) override {
    switch (magic_.take(bytes)) {
      case MagicCheck::Status::kNeedMore:
        return;
      case MagicCheck::Status::kWrong:
        not_reversed(magic_.error(bytes));
        return;
      case MagicCheck::Status::kDone:
        reversed(ChannelProtocol::kHttp2, bytes);
        return;
    }
  }

  MagicCheck magic_;
};

class DirectProfile final : public Profile {
 public:
  [[nodiscard]] std::string_view name() const override { return "direct"; }

  // Each revision of the draft has another id for HTTP/2; all mean the same to us.
  [[nodiscard]] std::vector<std::string> default_alpn() const override {
    return {"\xd5\x87\xc9\xa5", "ph2", "rh2"};
  }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return std::make_unique<DirectStream>(loop, std::move(connected), listener);
  }
};

}  // namespace

std::unique_ptr<Profile> make_direct_profile() {
  return std::make_unique<DirectProfile>();
}

}  // namespace ptth
