// Roles are swapped at once, by arrangement: no hello, whatever the ALPN id, and the gateway sends
// the magic (protocols.md section 0).

#include "agent/link/magic_stream.h"
#include "agent/link/profile.h"

#include <string>
#include <utility>

namespace ptth {

namespace {

class DirectProfile final : public Profile {
 public:
  [[nodiscard]] std::string_view name() const override { return "direct"; }

  // Those of draft-thomson-ptth-potato, which means the same.
  [[nodiscard]] std::vector<std::string> default_alpn() const override {
    return {"\xd5\x87\xc9\xa5", "ph2", "rh2"};
  }

  [[nodiscard]] Assurance assurance() const override { return Assurance::kArranged; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_magic_stream(loop, std::move(connected), listener);
  }
};

}  // namespace

std::unique_ptr<Profile> make_direct_profile() {
  return std::make_unique<DirectProfile>();
}

}  // namespace ptth
