#pragma once

// Errand: work that may block, on a thread of its own: a question to a name server, a look at files
// that may be far away. libuv's threads are few and shared: two errands that hang would hold up
// every other, and the process's end.

#include "common/loop.h"

#include <functional>
#include <memory>

namespace ptth {

class Errand {
 public:
  using Done = std::function<void()>;
  // Runs on the thread and throws nothing. What it returns is called once, from the loop.
  using Work = std::function<Done()>;

  // Nothing when no thread can be had.
  [[nodiscard]] static std::unique_ptr<Errand> start(Loop& loop, Work work);
  // Abandons the errand: the thread cannot be stopped, and ends by itself. Not inside its Done
  // (Loop::retire).
  ~Errand();
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;
  Errand(Errand&&) = delete;
  Errand& operator=(Errand&&) = delete;

  // Until the work is over, for a process that ends and takes away what the thread uses.
  void wait(Milliseconds at_most);

 private:
  struct Task;

  explicit Errand(std::shared_ptr<Task> task);
  static void* run(void* argument) noexcept;

  // Owned by this and by the thread, which may outlive it.
  std::shared_ptr<Task> task_;
};

}  // namespace ptth
