#include "agent/relay/origin_switch.h"

#include "agent/origin/forwarded_call.h"

#include <utility>

namespace ptth {

OriginSwitch::OriginSwitch(std::shared_ptr<Origin> inside) : inside_(std::move(inside)) {}

void OriginSwitch::set(std::shared_ptr<Origin> inside) {
  inside_ = std::move(inside);
}

std::unique_ptr<OriginCall> OriginSwitch::start(const RequestHead& head, ResponseListener& listener,
                                                WorkSlot slot) {
  auto call = std::make_unique<ForwardedCall>(inside_);
  call->forward_to(inside_->start(head, listener, std::move(slot)));
  return call;
}

}  // namespace ptth
