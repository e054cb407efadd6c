#include "agent/serving.h"

#include "agent/relay/router.h"

#include <utility>

namespace ptth {

struct Serving::Chain {
  HttpOriginOptions origin_options;
  // Owned by each chain in which it stands.
  std::shared_ptr<HttpOrigin> origin;
  std::unique_ptr<Admission> admission;
  std::unique_ptr<Origin> router;
};

Serving::Serving(const Surroundings& around, const ServingOptions& options)
    : around_(around),
      options_(options),
      chain_(make_chain(nullptr)),
      entrance_(std::shared_ptr<Origin>(chain_, chain_->router.get())) {}

Serving::~Serving() = default;

bool Serving::change(const ServingOptions& options) {
  if (options == options_) return false;
  options_ = options;
  chain_ = make_chain(chain_.get());
  entrance_->set(std::shared_ptr<Origin>(chain_, chain_->router.get()));
  return true;
}

std::shared_ptr<Serving::Chain> Serving::make_chain(const Chain* before) {
  auto chain = std::make_shared<Chain>();
  chain->origin_options = options_.origin;
  if (before != nullptr && before->origin_options == options_.origin) {
    chain->origin = before->origin;
  } else {
    chain->origin =
        make_http_origin(around_.loop, around_.network, around_.metrics, options_.origin);
  }
  chain->admission =
      make_admission({around_.loop, around_.metrics, *chain->origin, origin_work_, around_.shares},
                     options_.admission);
  chain->router = make_router(around_.loop, *chain->admission, options_.serve);
  return chain;
}

Admission& Serving::admission() {
  return *chain_->admission;
}

const HttpOrigin& Serving::origin() const {
  return *chain_->origin;
}

}  // namespace ptth
