#pragma once

// Router: an Origin that chooses the origin of a request. Today there is one origin, and the choice
// is whether the request's authority is served at all (--serve); others get 421 (RFC 9110
// section 15.5.20).

#include "agent/origin/origin.h"
#include "common/authority.h"
#include "common/loop.h"

#include <memory>

namespace ptth {

// Everything is borrowed and outlives the returned origin and its calls.
[[nodiscard]] std::unique_ptr<Origin> make_router(Loop& loop, Origin& origin,
                                                  ServedAuthorities served);

}  // namespace ptth
