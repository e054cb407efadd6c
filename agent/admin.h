#pragma once

// The admin listener: probes for whoever supervises the process, and metrics for Prometheus. A
// small HTTP/1.1 server beside the data path. On loopback the capacity can be changed, too.

#include "agent/admin_pages.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ptth {

struct AdminOptions {
  std::string listen = "127.0.0.1:9600";  // As Listener::listen takes it; empty: no listener.
  uint32_t connections_max = 64;          // One more closes the one that has waited longest.
  size_t head_bytes_max = 8192;
  uint32_t fields_max = 64;
  Milliseconds idle_timeout{60'000};    // Between requests.
  Milliseconds request_timeout{5'000};  // First to last byte of a head; progress of an answer.
};

class Admin {
 public:
  // source, metrics and capacity are borrowed and outlive it. Errors say why it cannot listen.
  [[nodiscard]] static Result<std::unique_ptr<Admin>> start(Loop& loop, AdminSource& source,
                                                            Metrics& metrics,
                                                            const AdminOptions& options,
                                                            AdminCapacity* capacity = nullptr);

  Admin() = default;
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;
  Admin(Admin&&) = delete;
  Admin& operator=(Admin&&) = delete;
  virtual ~Admin() = default;

  // The port that the kernel chose; 0 for Unix sockets.
  [[nodiscard]] virtual int port() const = 0;
};

}  // namespace ptth
