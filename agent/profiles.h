#pragma once

// From the configuration of a gateway to its profile: the only place that knows all kinds.

#include "agent/link/link.h"
#include "agent/link/profile.h"
#include "common/authority.h"
#include "common/error.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

class TokenSource;

// Not a profile: the agent finds out which one a gateway speaks (ProfileChooser).
inline constexpr std::string_view kAutoProfile = "auto";

struct ProfileSet {
  std::vector<std::unique_ptr<Profile>> chosen;  // The best first.
  std::string left_out;  // Those of auto's own list that the settings do not allow, and why.
};

// kConfiguration: what the profile and its credentials need, and which setting gives it. Nothing is
// dialled, no file is read. tokens: as make_hello_credentials has it.
[[nodiscard]] Result<ProfileSet> make_profiles(const GatewayOptions& gateway,
                                               const ServedAuthorities& served,
                                               const TokenSource* tokens = nullptr);

}  // namespace ptth
