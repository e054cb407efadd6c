#pragma once

// An outbound proxy: the one way out of some networks.

#include "common/secret.h"

#include <cstdint>
#include <string>

namespace ptth {

struct ProxyOptions {
  enum class Mode { kFromEnvironment, kNone, kGiven };

  Mode mode = Mode::kFromEnvironment;
  std::string host;
  uint16_t port = 0;
  bool tls = false;              // To the proxy itself.
  std::string ca_file;           // Trusted for that; empty: the system's.
  std::string credentials_file;  // user:password, read at each dial.
  Secret credentials;            // The same from the environment; the file wins.

  [[nodiscard]] bool operator==(const ProxyOptions&) const = default;
};

// "http://proxy.example:3128", for people; without credentials.
[[nodiscard]] std::string show_proxy(const ProxyOptions& proxy);

}  // namespace ptth
