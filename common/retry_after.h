#pragma once

// Retry-After (RFC 9110 section 10.2.3).

#include "common/http_date.h"
#include "common/http_message.h"

#include <chrono>

namespace ptth {

// What it asks for, from now or, for a date, from the answer's own; 0 if nothing that can be
// understood. Unbounded.
[[nodiscard]] std::chrono::milliseconds retry_after(const FieldList& fields, HttpTime now);

}  // namespace ptth
