#pragma once

// Lookup: one question to the system's resolver, on a thread of its own.

#include "common/errand.h"
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
  // Abandons the question. Not inside the callback (Loop::retire).
  ~Lookup() = default;
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  Lookup(Lookup&&) = delete;
  Lookup& operator=(Lookup&&) = delete;

 private:
  explicit Lookup(std::unique_ptr<Errand> errand);

  std::unique_ptr<Errand> errand_;
};

}  // namespace ptth
