// Roles are swapped right after TLS (protocols.md sections 0 and 5): we are silent until the
// gateway, as the HTTP/2 client, has sent its magic. nghttp2 is told to expect none, so that one
// kind of session serves both dialects; we verify it here.

#include "agent/link/client_magic.h"
#include "agent/link/hello_stream.h"
#include "agent/link/profile.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ptth {

namespace {

std::string what_came_instead(Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.substr(0, 5) == "HTTP/") {
    return "an HTTP/1 answer (the gateway does not reverse connections on this port, or not with "
           "this profile)";
  }
  // Length 0..255, type SETTINGS, stream 0.
  if (bytes.size() > 3 && bytes[0] == 0 && bytes[1] == 0 && bytes[3] == 4) {
    return "an HTTP/2 SETTINGS frame (the gateway expects us to send the magic: try --profile "
           "haproxy)";
  }
  return "other bytes";
}

class DirectStream final : public HelloStream {
 public:
  DirectStream(Loop& loop, std::unique_ptr<ByteStream> connected, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener) {}

 private:
  void on_hello_bytes(Bytes bytes) override {
    const size_t count = std::min(bytes.size(), kClientMagic.size() - verified_);
    if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count),
                    kClientMagic.begin() + static_cast<std::ptrdiff_t>(verified_))) {
      not_reversed({ErrorKind::kProtocol, Side::kGateway,
                    "the gateway did not begin with the HTTP/2 client magic but with " +
                        (verified_ == 0 ? what_came_instead(bytes) : "other bytes"),
                    false});
      return;
    }
    verified_ += count;
    if (verified_ == kClientMagic.size()) reversed(ChannelProtocol::kHttp2, bytes.subspan(count));
  }

  size_t verified_ = 0;
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
