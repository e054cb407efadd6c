#include "agent/gateway_quota.h"

#include <algorithm>

namespace ptth {

GatewayQuota::GatewayQuota(const Surroundings& around, const GatewayOptions& options)
    : buffer_bytes_(options.buffer_bytes),
      budget_{around.process_budget.limit_bytes, 0, &around.process_budget},
      turn_(around.loop, options.turn,
            around.metrics.counter("ptth_turn_share_waits",
                                   "Times that a link had its share of a turn and waited.",
                                   {{"gateway", options.name}})),
      capacity_(around.shares.of(options.name)),
      buffer_limit_(around.metrics.gauge("ptth_buffered_bytes_limit",
                                         "Body bytes above which this gateway has to wait.",
                                         {{"gateway", options.name}})) {
  capacity_.exchanges_max = options.exchanges_max;
  divide_by(1);
}

void GatewayQuota::divide_by(size_t gateways) {
  const size_t equal = budget_.within->limit_bytes / std::max<size_t>(gateways, 1);
  budget_.limit_bytes = buffer_bytes_ > 0 ? buffer_bytes_ : equal;
  buffer_limit_.set(static_cast<double>(budget_.limit_bytes));
}

}  // namespace ptth
