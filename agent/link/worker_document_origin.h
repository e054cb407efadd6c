#pragma once

// WorkerDocumentOrigin: an Origin that wraps an Origin, for one connection. It answers the
// gateway's own requests for the worker document, and passes on what has another path. In front of
// routes and admission: it works while the application is down, and takes no part of the capacity.
//
// The path is ours, so no request for it goes further. The gateway's own is one whose authority is
// the gateway's verified name and that was forwarded for nobody (own_request.h); for everybody else
// there is nothing (404).

#include "agent/link/worker_document.h"
#include "agent/origin/origin.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace ptth {

struct WorkerDocumentParameters {
  std::string gateway;  // In metrics.
  std::string host;     // Of the gateway, as verified.
  uint16_t port = 443;
  std::function<WorkerFacts()> facts;  // As they are now.
};

// Borrowed; the inner origin outlives the calls, the rest the returned origin.
struct WorkerDocumentSurroundings {
  Loop& loop;
  Origin& inner;
  Metrics& metrics;
};

// options.path is not empty.
[[nodiscard]] std::unique_ptr<Origin> make_worker_document_origin(
    const WorkerDocumentSurroundings& around, const WorkerDocumentOptions& options,
    WorkerDocumentParameters parameters);

}  // namespace ptth
