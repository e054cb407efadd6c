#pragma once

// The memory contract of the process: bodies buffered on all links together. Every buffer that a
// gateway or an origin can fill counts here.

#include <cstddef>

namespace ptth {

struct Budget {
  size_t limit_bytes = size_t{256} * 1024 * 1024;
  size_t used_bytes = 0;

  [[nodiscard]] bool exceeded() const { return used_bytes > limit_bytes; }
};

}  // namespace ptth
