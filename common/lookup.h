#pragma once

// Lookup: one question to the system's resolver, on a thread of its own. libuv's threads are few
// and shared: two names whose servers hang would keep every other gateway from being resolved, and
// the process from ending.

#include "common/loop.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

struct addrinfo;

namespace ptth {

class Lookup {
 public:
  // status: 0, or an error of getaddrinfo (netdb.h). found is valid for the call only.
  using Done = std::function<void(int status, const addrinfo* found)>;

  // Calls back once, from the loop. Nothing when no thread can be had.
  [[nodiscard]] static std::unique_ptr<Lookup> start(Loop& loop, const std::string& host,
                                                     uint16_t port, Done done);
  // Abandons the question: the thread cannot be stopped, and ends by itself. Not inside the
  // callback (Loop::retire).
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  Lookup(Lookup&&) = delete;
  Lookup& operator=(Lookup&&) = delete;

 private:
  struct Question;

  explicit Lookup(std::shared_ptr<Question> question);
  static void* run(void* argument) noexcept;

  // Owned by this and by the thread, which may outlive it.
  std::shared_ptr<Question> question_;
};

}  // namespace ptth
