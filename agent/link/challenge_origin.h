#pragma once

// ChallengeOrigin: an Origin that wraps an Origin, for one connection. It answers the gateway's own
// question who we are, keeps other requests within the paths that are served to that gateway, and
// passes on the rest. In front of routes and admission: the question reaches no origin and takes no
// part of the capacity.
//
// The question is a request for the configured path of the gateway itself: its authority is the
// name that we have verified in the gateway's certificate (without a port, or with 443 or the port
// that we dialled), for no other is it known to be the gateway's. A request for the same path of
// another authority is a user's, and goes the usual way. What was forwarded for somebody (Via, and
// Forwarded and X-Forwarded-For where ForwardedPolicy leaves them) is not answered; a token is
// given only before the first other request on its connection, so that a gateway that forwards what
// it should not cannot be made to fetch it.

#include "agent/link/challenge_options.h"
#include "agent/origin/origin.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace ptth {

struct ChallengeParameters {
  std::string gateway;  // In logs and metrics.
  uint64_t link_id = 0;
  std::string worker;
  std::string host;  // Of the gateway, as verified.
  uint16_t port = 443;
  std::optional<std::string> exporter;  // ChallengeFacts::exporter.
  std::function<int64_t()> now = {};    // Seconds since 1970; empty: the system's.
};

// Borrowed; the inner origin outlives the calls, the rest the challenge's origin.
struct ChallengeSurroundings {
  Loop& loop;
  Origin& inner;
  Log& log;
  Metrics& metrics;
};

[[nodiscard]] std::unique_ptr<Origin> make_challenge_origin(const ChallengeSurroundings& around,
                                                            const ChallengeOptions& options,
                                                            ChallengeParameters parameters);

}  // namespace ptth
