#pragma once

// DiscoverySource: one place that says where gateways are. Each kind is one .cpp with one factory
// line here.

#include "agent/found_gateway.h"
#include "agent/link/discovery_options.h"
#include "agent/link/proxy_options.h"
#include "common/error.h"
#include "common/loop.h"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace ptth {

class Fetcher;
class Log;

class DiscoverySource {
 public:
  struct Looked {
    // Nothing is said but that it is as before.
    bool is_unchanged = false;
    std::vector<FoundGateway> gateways = {};
    // TTL, max-age; as it says, unbounded.
    std::optional<Milliseconds> good_for = {};
  };

  using Done = std::function<void(Result<Looked>)>;

  DiscoverySource() = default;
  DiscoverySource(const DiscoverySource&) = delete;
  DiscoverySource& operator=(const DiscoverySource&) = delete;
  DiscoverySource(DiscoverySource&&) = delete;
  DiscoverySource& operator=(DiscoverySource&&) = delete;
  // Cancels. Not inside Done.
  virtual ~DiscoverySource() = default;

  // One at a time. Calls back once, from the loop, never from inside this call.
  virtual void look(Done done) = 0;
  // Ends and silences the look that is under way.
  virtual void cancel() = 0;

  // What was found before this process began.
  [[nodiscard]] virtual std::vector<FoundGateway> remembered() { return {}; }
};

// Everything is borrowed and outlives the source. proxy: to the document's server; chosen already.
[[nodiscard]] std::unique_ptr<DiscoverySource> make_document_source(Loop& loop, Log& log,
                                                                    Fetcher& fetcher,
                                                                    const DiscoveryOptions& options,
                                                                    const ProxyOptions& proxy);
// SRV and SVCB.
[[nodiscard]] std::unique_ptr<DiscoverySource> make_dns_source(Loop& loop,
                                                               const DiscoveryOptions& options);

}  // namespace ptth
