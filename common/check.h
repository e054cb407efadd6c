#pragma once

// CHECK stays on in release builds and aborts. It guards against our own bugs only, never against
// input.

#include <cstdio>
#include <cstdlib>

namespace ptth {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace ptth

#define CHECK_INVARIANT(condition) \
  (static_cast<bool>(condition) ? void() : ::ptth::check_failed(#condition, __FILE__, __LINE__))
