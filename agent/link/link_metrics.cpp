#include "agent/link/link_metrics.h"

namespace ptth {

namespace {

constexpr const char* kRedialsHelp =
    "Dials without a wait: a link that was attached ended without a fault, or the gateway wants "
    "another connection.";
constexpr const char* kLooksHelp =
    "Connections dialled to find a better profile than the one in use, by what came of them.";
constexpr const char* kRenewalsHelp =
    "Attempts to replace a connection by a newer one before it ends: because of its age, or "
    "because "
    "credentials have changed.";

}  // namespace

LinkMetrics::LinkMetrics(Metrics& metrics, const std::string& gateway)
    : dials(metrics.counter("ptth_link_dials", "Attempts to connect to the gateway.",
                            {{"gateway", gateway}})),
      attaches(metrics.counter("ptth_link_attaches", "Links that became ready for requests.",
                               {{"gateway", gateway}})),
      redials_after_close(metrics.counter("ptth_link_redials", kRedialsHelp,
                                          {{"gateway", gateway}, {"cause", "closed"}})),
      redials_after_leaving(metrics.counter("ptth_link_redials", kRedialsHelp,
                                            {{"gateway", gateway}, {"cause", "leaving"}})),
      renewals(metrics.counter("ptth_link_renewals", kRenewalsHelp,
                               {{"gateway", gateway}, {"outcome", "replaced"}})),
      renewals_failed(metrics.counter("ptth_link_renewals", kRenewalsHelp,
                                      {{"gateway", gateway}, {"outcome", "failed"}})),
      looks(metrics.counter("ptth_link_profile_looks", kLooksHelp,
                            {{"gateway", gateway}, {"outcome", "better"}})),
      looks_failed(metrics.counter("ptth_link_profile_looks", kLooksHelp,
                                   {{"gateway", gateway}, {"outcome", "none"}})),
      redials_elsewhere(metrics.counter("ptth_link_redials", kRedialsHelp,
                                        {{"gateway", gateway}, {"cause", "redirected"}})),
      redials_to_ask_again(metrics.counter("ptth_link_redials", kRedialsHelp,
                                           {{"gateway", gateway}, {"cause", "asked_again"}})),
      credentials_refused(metrics.gauge("ptth_link_credentials_refused",
                                        "Links whose credentials the gateway refused last time.",
                                        {{"gateway", gateway}})),
      attach_seconds(metrics.histogram("ptth_link_attach_seconds",
                                       "From the dial to a link that is ready for requests.",
                                       latency_bounds(), {{"gateway", gateway}})),
      metrics_(metrics),
      gateway_(gateway) {
  for (size_t index = 0; index < kLinkStateCount; ++index) {
    const auto state = static_cast<LinkState>(index);
    states_[index] =
        &metrics.gauge("ptth_link_state", "Links in each state.",
                       {{"gateway", gateway}, {"state", std::string(to_string(state))}});
  }
}

Gauge& LinkMetrics::using_profile(std::string_view profile) const {
  return metrics_.gauge("ptth_link_profile", "Attached links, by the profile that they use.",
                        {{"gateway", gateway_}, {"profile", std::string(profile)}});
}

Counter& LinkMetrics::failures(ErrorKind reason) const {
  return metrics_.counter("ptth_link_failures", "Dials and links that ended with a fault.",
                          {{"gateway", gateway_}, {"reason", std::string(to_string(reason))}});
}

}  // namespace ptth
