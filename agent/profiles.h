#pragma once

// From the configuration of a gateway to its profile: the only place that knows all kinds.

#include "agent/link/hello_request.h"
#include "agent/link/link.h"
#include "agent/link/profile.h"
#include "common/authority.h"
#include "common/error.h"

#include <memory>

namespace ptth {

// kConfiguration: what the profile needs, and which setting gives it. Nothing is dialled or read.
[[nodiscard]] Result<std::unique_ptr<Profile>> make_profile(const GatewayOptions& gateway,
                                                            const ServedAuthorities& served,
                                                            HelloCredentials credentials = {});

}  // namespace ptth
