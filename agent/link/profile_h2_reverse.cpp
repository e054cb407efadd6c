// draft-bt-httpbis-reverse-http (protocols.md section 4): roles are swapped by the ALPN id
// h2-reverse, each side proves itself with a certificate, and our SETTINGS and the ORIGIN frame of
// what we serve leave at once. The gateway, as the HTTP/2 client, sends the magic.

#include "agent/link/eager_stream.h"
#include "agent/link/magic_filter.h"
#include "agent/link/profile.h"

#include <utility>

namespace ptth {

namespace {

class H2ReverseProfile final : public Profile {
 public:
  explicit H2ReverseProfile(std::vector<std::string> origins) : origins_(std::move(origins)) {}

  [[nodiscard]] std::string_view name() const override { return "h2-reverse"; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return {"h2-reverse"}; }

  [[nodiscard]] bool requires_certificate_request() const override { return true; }

  [[nodiscard]] std::vector<std::string> announced_origins() const override { return origins_; }

  [[nodiscard]] Assurance assurance() const override { return Assurance::kMutual; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_eager_stream(loop, make_magic_filter(std::move(connected)), {}, listener);
  }

 private:
  std::vector<std::string> origins_;
};

}  // namespace

std::unique_ptr<Profile> make_h2_reverse_profile(std::vector<std::string> origins) {
  return std::make_unique<H2ReverseProfile>(std::move(origins));
}

}  // namespace ptth
