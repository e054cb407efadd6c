#pragma once

// A budget of buffered bytes within a larger one: of a link within that of its gateway, which is
// within that of the process, the memory contract. Every buffer that a gateway or an origin can
// fill counts here. A budget that is exceeded lets nothing be read beyond what it has in hand.

#include <cstddef>

namespace ptth {

struct Budget {
  size_t limit_bytes = size_t{256} * 1024 * 1024;
  size_t used_bytes = 0;
  Budget* within = nullptr;  // Borrowed: what is used here is used there as well.

  [[nodiscard]] bool exceeded() const {
    for (const Budget* budget = this; budget != nullptr; budget = budget->within) {
      if (budget->used_bytes > budget->limit_bytes) return true;
    }
    return false;
  }

  void use(size_t count) {
    for (Budget* budget = this; budget != nullptr; budget = budget->within)
      budget->used_bytes += count;
  }

  void give_back(size_t count) {
    for (Budget* budget = this; budget != nullptr; budget = budget->within)
      budget->used_bytes -= count;
  }
};

}  // namespace ptth
