#pragma once

// CapacityDesk: what the admin listener may ask of admission, and tell it.

#include "agent/admin_capacity.h"
#include "agent/serving.h"
#include "common/log.h"

#include <cstdint>
#include <optional>

namespace ptth {

class CapacityDesk final : public AdminCapacity {
 public:
  CapacityDesk(Serving& serving, Log& log) : serving_(serving), log_(log) {}

  [[nodiscard]] Report report() const override {
    const Admission& admission = serving_.admission();
    return {admission.capacity(), to_string(admission.capacity_source()), admission.in_flight(),
            admission.queued()};
  }

  void set(std::optional<uint32_t> capacity) override {
    Admission& admission = serving_.admission();
    admission.set_capacity_by_admin(capacity);
    log_.info("capacity set by the admin listener",
              {{"capacity", uint64_t{admission.capacity()}},
               {"source", to_string(admission.capacity_source())}});
  }

 private:
  Serving& serving_;
  Log& log_;
};

}  // namespace ptth
