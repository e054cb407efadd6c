#pragma once

// OriginSwitch: an Origin whose inside can be exchanged while it works. New calls go to what was
// set last; calls under way end where they began.

#include "agent/origin/origin.h"

#include <memory>

namespace ptth {

class OriginSwitch final : public Origin {
 public:
  // inside is owned by this until another is set, and by each call that began in it: the last of
  // them takes it along.
  explicit OriginSwitch(std::shared_ptr<Origin> inside);

  void set(std::shared_ptr<Origin> inside);

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override;

 private:
  std::shared_ptr<Origin> inside_;
};

}  // namespace ptth
