// draft-thomson-ptth-potato (protocols.md section 5): roles are swapped right after TLS, by an ALPN
// id that only such a gateway confirms, and that also says which version of HTTP it speaks. The ids
// change with every revision; all mean the same to us.

#include "agent/link/magic_stream.h"
#include "agent/link/profile.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace ptth {

namespace {

struct Revision {
  std::string_view number;
  std::string_view http2_id;
  std::string_view http1_id;
};

// The newest first, which is the order in which they are offered.
constexpr std::array<Revision, 3> kRevisions{{
    {"02", "\xd5\x87\xc9\xa5", "\xc6\x96\xc9\xa5"},
    {"01", "ph2", "ph1"},
    {"00", "rh2", "rh1"},
}};

class PotatoProfile final : public Profile {
 public:
  PotatoProfile(std::vector<std::string> http2_ids, std::vector<std::string> http1_ids)
      : http2_ids_(std::move(http2_ids)), http1_ids_(std::move(http1_ids)) {}

  [[nodiscard]] std::string_view name() const override { return "potato"; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return http2_ids_; }

  [[nodiscard]] std::vector<std::string> http1_alpn() const override { return http1_ids_; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_magic_stream(loop, std::move(connected), listener);
  }

 private:
  std::vector<std::string> http2_ids_;
  std::vector<std::string> http1_ids_;
};

std::string known_revisions() {
  std::string numbers;
  for (const Revision& revision : kRevisions)
    numbers += (numbers.empty() ? "" : ", ") + std::string(revision.number);
  return numbers;
}

}  // namespace

Result<std::unique_ptr<Profile>> make_potato_profile(const std::vector<std::string>& revisions) {
  std::vector<Revision> chosen;
  for (const std::string& number : revisions) {
    const auto* const known =
        std::find_if(kRevisions.begin(), kRevisions.end(),
                     [&](const Revision& one) { return one.number == number; });
    if (known == kRevisions.end()) {
      return Error{ErrorKind::kConfiguration, Side::kLocal,
                   "--revision " + number + ": the revisions of potato that are known are " +
                       known_revisions() + "; the ids of another are given by --alpn",
                   false};
    }
    chosen.push_back(*known);
  }
  if (chosen.empty()) chosen.assign(kRevisions.begin(), kRevisions.end());
  std::vector<std::string> http2_ids;
  std::vector<std::string> http1_ids;
  for (const Revision& revision : chosen) {
    http2_ids.emplace_back(revision.http2_id);
    http1_ids.emplace_back(revision.http1_id);
  }
  return std::unique_ptr<Profile>(
      std::make_unique<PotatoProfile>(std::move(http2_ids), std::move(http1_ids)));
}

}  // namespace ptth
