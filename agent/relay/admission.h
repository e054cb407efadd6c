#pragma once

// Admission: an Origin that wraps an Origin and lets only so many exchanges be with it at once: in
// all (Capacity), of each gateway (CapacityShares), and of each class of heavy requests. Beyond
// that requests wait, in a queue of bounded length, age and bytes, the most urgent first; who
// cannot wait fails as kOverload and retryable, before the origin has seen anything, so that the
// gateway can send it elsewhere. The relay never sees which it is.

#include "agent/origin/origin.h"
#include "agent/relay/capacity.h"
#include "agent/relay/capacity_shares.h"
#include "agent/relay/request_class.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ptth {

struct AdmissionOptions {
  CapacityOptions capacity;
  QueueOptions queue;  // Of requests in no class.
  std::vector<RequestClass> classes;
  size_t routes_max = 256;  // Whose latency is learned.
  // The field in which a gateway says how many seconds it waits for an answer. Empty: none.
  std::string deadline_field = "request-timeout";

  [[nodiscard]] bool operator==(const AdmissionOptions&) const = default;
};

// The work that the origin has in hand: in all, and of each class; [0] is that of none.
struct OriginWork {
  WorkCount total;
  std::deque<WorkCount> of_class;
};

// One that never goes back; empty: the system's.
using MicrosecondClock = std::function<uint64_t()>;

class Admission : public Origin {
 public:
  [[nodiscard]] virtual uint32_t capacity() const = 0;
  // See Capacity::set_by_admin.
  virtual void set_capacity_by_admin(std::optional<uint32_t> limit) = 0;
  [[nodiscard]] virtual Capacity::Source capacity_source() const = 0;
  [[nodiscard]] virtual uint32_t in_flight() const = 0;
  [[nodiscard]] virtual size_t queued() const = 0;
  // How long requests have waited, by class; those that did not wait are not in it.
  [[nodiscard]] virtual std::vector<const Histogram*> queue_age_seconds() const = 0;
};

// Outlives the admission and its calls. work and shares outlive the inner origin too, which keeps
// slots of cancelled calls; they may be used again, by another admission.
struct AdmissionSurroundings {
  Loop& loop;
  Metrics& metrics;
  Origin& inner;
  OriginWork& work;
  CapacityShares& shares;
};

[[nodiscard]] std::unique_ptr<Admission> make_admission(const AdmissionSurroundings& around,
                                                        AdmissionOptions options,
                                                        MicrosecondClock clock = {});

}  // namespace ptth
