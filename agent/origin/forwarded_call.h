#pragma once

// ForwardedCall: the call of an Origin that wraps an Origin and leaves the request as it is.

#include "agent/origin/origin.h"

#include <memory>
#include <utility>

namespace ptth {

class ForwardedCall : public OriginCall {
 public:
  // kept: the origin that is called, where nothing else keeps it for as long as the call; or null.
  explicit ForwardedCall(std::shared_ptr<Origin> kept = nullptr) : kept_(std::move(kept)) {}

  // Once, before anything is called.
  void forward_to(std::unique_ptr<OriginCall> inner) { inner_ = std::move(inner); }

  void write_body(Bytes bytes) final { inner_->write_body(bytes); }

  void end_body(const FieldList& trailers) final { inner_->end_body(trailers); }

  void pause_response() final { inner_->pause_response(); }

  void resume_response() final { inner_->resume_response(); }

  void reprioritize(const Priority& priority) final { inner_->reprioritize(priority); }

 private:
  std::shared_ptr<Origin> kept_;  // Outlives its call.
  std::unique_ptr<OriginCall> inner_;
};

}  // namespace ptth
