#pragma once

// From the configuration of a gateway to its profile: the only place that knows all kinds.

#include "agent/link/link.h"
#include "agent/link/profile.h"
#include "common/authority.h"
#include "common/error.h"

#include <memory>

namespace ptth {

// kConfiguration: what the profile and its credentials need, and which setting gives it. Nothing is
// dialled, no file is read.
[[nodiscard]] Result<std::unique_ptr<Profile>> make_profile(const GatewayOptions& gateway,
                                                            const ServedAuthorities& served);

}  // namespace ptth
