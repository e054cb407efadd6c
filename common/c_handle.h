#pragma once

// Owners for handles of C libraries: std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>.

#include <memory>

namespace ptth {

template <auto kFree>
struct FreeWith {
  template <class T>
  void operator()(T* handle) const noexcept {
    kFree(handle);
  }
};

}  // namespace ptth
