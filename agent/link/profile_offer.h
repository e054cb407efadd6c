#pragma once

// ProfileOffer: the profiles that one connection offers to a gateway. Where there are several, each
// has ALPN ids of its own, and the gateway chooses by the id that it confirms.

#include "agent/link/profile.h"

#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// A value; it borrows the profiles.
class ProfileOffer {
 public:
  ProfileOffer() = default;

  explicit ProfileOffer(const Profile& only) : profiles_{&only} {}

  // The next best. False, and nothing is added, if the gateway could not tell it from those that
  // are here already.
  bool add(const Profile& profile);

  [[nodiscard]] bool empty() const { return profiles_.empty(); }

  [[nodiscard]] const std::vector<const Profile*>& profiles() const { return profiles_; }

  [[nodiscard]] bool contains(std::string_view name) const;

  // With which the connection goes on once TLS is established; null: with none. alpn: what the
  // gateway has confirmed.
  [[nodiscard]] const Profile* agreed(std::string_view alpn) const;

  // As of a profile.
  [[nodiscard]] std::vector<std::string> default_alpn() const;
  [[nodiscard]] std::vector<std::string> http1_alpn() const;
  [[nodiscard]] bool requires_alpn() const;
  [[nodiscard]] bool requires_certificate_request() const;
  [[nodiscard]] bool may_leave_tls() const;

  // Whatever the profile, the gateway must ask for our certificate.
  void require_certificate_request() { certificate_required_ = true; }

  // "potato, ptth".
  [[nodiscard]] std::string names() const;

 private:
  std::vector<const Profile*> profiles_;
  bool certificate_required_ = false;
};

}  // namespace ptth
