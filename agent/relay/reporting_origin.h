#pragma once

// ReportingOrigin: an Origin that wraps an Origin and adds the load report of the moment to the
// head of each answer. Only for gateways that are to be told; the others' requests do not come
// through it.

#include "agent/origin/origin.h"

#include <memory>
#include <string>

namespace ptth {

// Both are borrowed and outlive the returned origin and its calls. The text is read at each answer,
// and an empty one adds nothing. An answer that has a report of its own stays as it is.
[[nodiscard]] std::unique_ptr<Origin> make_reporting_origin(Origin& inner, const std::string& text);

}  // namespace ptth
