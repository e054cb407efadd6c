#pragma once

// Signals as events of the loop, never as interruptions.

#include "common/loop.h"

#include <functional>
#include <initializer_list>
#include <memory>

namespace ptth {

class Signals {
 public:
  // The function is called from the loop with the number of each signal that arrives, until this
  // object is destroyed.
  [[nodiscard]] static std::unique_ptr<Signals> watch(Loop& loop,
                                                      std::initializer_list<int> numbers,
                                                      std::function<void(int)> on_signal);

  Signals() = default;
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  Signals(Signals&&) = delete;
  Signals& operator=(Signals&&) = delete;
  virtual ~Signals() = default;
};

}  // namespace ptth
