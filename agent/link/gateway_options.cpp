#include "agent/link/link.h"

namespace ptth {

bool is_retuning(const GatewayOptions& from, const GatewayOptions& to) {
  GatewayOptions tuned = from;
  retune(tuned, to);
  return tuned == to;
}

void retune(GatewayOptions& options, const GatewayOptions& to) {
  options.connections = to.connections;
  options.pool = to.pool;
  options.connect_timeout = to.connect_timeout;
  options.address_race_delay = to.address_race_delay;
  options.hello_timeout = to.hello_timeout;
  options.max_age = to.max_age;
  options.renew_spread = to.renew_spread;
}

}  // namespace ptth
