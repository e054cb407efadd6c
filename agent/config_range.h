#pragma once

// The ranges that the parts of the table of settings share.

#include "agent/config_table.h"

#include <cstdint>

namespace ptth {

inline constexpr uint64_t kSizeMax = UINT64_C(1) << 40;
inline constexpr uint64_t kWindowMax = INT32_MAX;  // RFC 9113 section 6.9.1.

inline constexpr OptionRange kAny{};

constexpr OptionRange at_least(uint64_t least) {
  return {least, UINT32_MAX};
}

constexpr OptionRange between(uint64_t least, uint64_t most) {
  return {least, most};
}

}  // namespace ptth
