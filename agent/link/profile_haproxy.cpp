// The dialect of HAProxy (protocols.md section 1): we, who dialled, also send the magic of an
// HTTP/2 client, though we are the server. The gateway sends no magic, only its SETTINGS.

#include "agent/link/client_magic.h"
#include "agent/link/eager_stream.h"
#include "agent/link/profile.h"

#include <utility>

namespace ptth {

namespace {

class HaproxyProfile final : public Profile {
 public:
  [[nodiscard]] std::string_view name() const override { return "haproxy"; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return {"h2"}; }

  [[nodiscard]] Assurance assurance() const override { return Assurance::kUnconfirmed; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kHoldAndClose; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return true; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_eager_stream(loop, std::move(connected), kClientMagic, listener);
  }
};

}  // namespace

std::unique_ptr<Profile> make_haproxy_profile() {
  return std::make_unique<HaproxyProfile>();
}

}  // namespace ptth
