#pragma once

// Serving: what stands behind all links: router, admission, origin. It can be changed while
// exchanges run: new ones find what is new, those under way end where they began.

#include "agent/origin/http_origin.h"
#include "agent/relay/admission.h"
#include "agent/relay/capacity_shares.h"
#include "agent/relay/origin_switch.h"
#include "common/authority.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/network.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace ptth {

struct ServingOptions {
  HttpOriginOptions origin;
  AdmissionOptions admission;
  ServedAuthorities serve;

  [[nodiscard]] bool operator==(const ServingOptions&) const = default;
};

class Serving {
 public:
  // Outlives it.
  struct Surroundings {
    Loop& loop;
    Metrics& metrics;
    Network& network;
    CapacityShares& shares;
  };

  Serving(const Surroundings& around, const ServingOptions& options);
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;
  Serving(Serving&&) = delete;
  Serving& operator=(Serving&&) = delete;
  ~Serving();

  // False: nothing is new. An origin that has not changed keeps its connections.
  bool change(const ServingOptions& options);

  // For the links; the same for as long as this lives.
  [[nodiscard]] Origin& entrance() { return *entrance_; }

  [[nodiscard]] const HttpOrigin& origin() const;
  // The one that new exchanges come to.
  [[nodiscard]] Admission& admission();

 private:
  struct Chain;
  [[nodiscard]] std::shared_ptr<Chain> make_chain(const Chain* before);

  Surroundings around_;
  ServingOptions options_;
  // Of all chains together: the origin has in hand what began before a change, too.
  OriginWork origin_work_;
  // Owned by this, and by the switch and the calls that are in it.
  std::shared_ptr<Chain> chain_;
  std::optional<OriginSwitch> entrance_;
};

}  // namespace ptth
