#pragma once

// The priority of a request as its gateway sees it (RFC 9218): a field of the request, or a frame
// that changes it later.

#include "common/http_message.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace ptth {

struct Priority {
  static constexpr uint8_t kUrgencies = 8;

  uint8_t urgency = 3;  // 0 is the most urgent.
  bool incremental = false;

  bool operator==(const Priority&) const = default;
};

// The value of a `priority` field or of a PRIORITY_UPDATE frame. Nothing: it is no dictionary of
// structured fields, and so says nothing (RFC 9218 section 4).
[[nodiscard]] std::optional<Priority> parse_priority(std::string_view value);

// Of a request: what its fields say, or the default.
[[nodiscard]] Priority priority_of(const FieldList& fields);

}  // namespace ptth
