#pragma once

// The worker document: what a gateway can learn of the worker that serves it, as JSON
// (worker.schema.json), by a request on the reversed connection. Worker: agent and application
// together.

#include "common/token_bucket.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ptth {

// For one gateway.
struct WorkerDocumentOptions {
  // What is asked for, with the gateway's own name as the authority. Empty: there is no document.
  std::string path = "/.well-known/ptth-worker";
  std::string identity;  // What the operator calls this worker; empty: not told.
  Rate rate{20, 5};      // Documents on one connection.

  [[nodiscard]] bool operator==(const WorkerDocumentOptions&) const = default;
};

struct WorkerFacts {
  // How many exchanges there may be at the application at once, and how many there are.
  struct Load {
    uint32_t capacity = 0;
    uint32_t in_flight = 0;
  };

  std::string identity;               // May be empty.
  std::string instance;               // Of this process, as in Via.
  std::string version;                // Of the agent.
  std::vector<std::string> origins;   // RFC 6454, or "https://*.app.example"; empty: all.
  std::vector<std::string> prefixes;  // Of paths, for this gateway; empty: all.
  Load all;                           // For all gateways together.
  Load share;                         // For this gateway.
  size_t queued = 0;                  // Requests of all gateways that wait.
  bool draining = false;              // The worker leaves this gateway.
};

[[nodiscard]] std::string to_json(const WorkerFacts& facts);

}  // namespace ptth
