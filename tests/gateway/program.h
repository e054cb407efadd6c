#pragma once

// What the two programs of this folder need from the system: signals, and telling a script which
// ports the kernel chose.

#include "common/error.h"
#include "common/loop.h"

#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace ptth::dev {

// Waits for SIGTERM and SIGINT on a thread of its own and tells the loop. Made before any other
// thread, because threads inherit which signals are blocked.
class StopSignals {
 public:
  StopSignals(Loop& loop, std::function<void()> on_signal);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  StopSignals(StopSignals&&) = delete;
  StopSignals& operator=(StopSignals&&) = delete;

 private:
  std::thread thread_;
};

// Where something listens, as "name=127.0.0.1:8080".
struct Port {
  std::string name;
  std::string address;
};

// The address with the port that the kernel chose: "127.0.0.1:0" and 8080 give "127.0.0.1:8080".
[[nodiscard]] std::string bound_address(const std::string& address, int port);

[[nodiscard]] std::string ports_text(const std::vector<Port>& ports);
// Atomically: whoever sees the file sees all of it.
[[nodiscard]] Result<void> write_ports_file(const std::string& path,
                                            const std::vector<Port>& ports);

}  // namespace ptth::dev
