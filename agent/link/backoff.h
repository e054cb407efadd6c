#pragma once

// Backoff: how long a link waits before its next dial. It decides only; the link owns the timer.

#include "common/error.h"
#include "common/loop.h"

#include <cstdint>
#include <functional>
#include <optional>

namespace ptth {

// A number between 0 and the bound, both included, each equally likely.
using Random = std::function<uint64_t(uint64_t bound)>;

// Seeded by the system.
[[nodiscard]] Random make_random();
// The same numbers for the same seed, on every machine.
[[nodiscard]] Random make_seeded_random(uint64_t seed);

struct BackoffOptions {
  // The first wait is anywhere between nothing and min (full jitter); the bound doubles with each
  // failure up to max. A herd that failed together so never comes back together.
  Milliseconds min{500};     // --reconnect-min
  Milliseconds max{30'000};  // --reconnect-max
  Milliseconds healthy_after{
      10'000};                      // Attached for so long: the next failure starts at min again.
  Milliseconds refused_min{5'000};  // Refused, a flood, or wrongly configured: never sooner.
  Milliseconds retry_after_max{300'000};  // A gateway cannot send us away for longer than this.
  // A link that was attached and closed without a fault is dialled again at once, but for so long:
  // each costs a credit, and each at_once_per attached earns one. HAProxy closes idle links every
  // 5 s by default, which must stay quick; a gateway that closes right after attaching must not be
  // hammered.
  uint32_t at_once_burst = 4;
  Milliseconds at_once_per{2'000};
  Milliseconds at_once_jitter{10};

  [[nodiscard]] bool operator==(const BackoffOptions&) const = default;
};

class Backoff {
 public:
  // kRefused: our credentials by the gateway, or its flood by us. kConfiguration: what we ask for
  // is wrong, and only a person can mend it.
  enum class Cause { kUnavailable, kRefused, kConfiguration };

  [[nodiscard]] static Cause cause_of(const Error& error);

  Backoff(const BackoffOptions& options, Random random);

  // A dial failed, or a link broke. retry_after: what the gateway asked for, zero if nothing.
  [[nodiscard]] Milliseconds after_failure(Cause cause, Milliseconds retry_after = {});
  // A link that was attached has ended without a fault: the short wait before it is dialled again,
  // or nothing when that has happened too often.
  [[nodiscard]] std::optional<Milliseconds> at_once();
  // Called once for each link that ended after it had been attached, before the above.
  void was_attached(Milliseconds duration);
  // The same, where one exchange may use a connection up (HTTP/1.1): each that was answered earns a
  // dial at once.
  void was_useful(uint64_t exchanges);

 private:
  BackoffOptions options_;
  Random random_;
  uint32_t failures_ = 0;
  // Attached without a failure in between, over several links when they were redialled at once.
  Milliseconds healthy_{0};
  // In milliseconds attached.
  Milliseconds at_once_credit_;
};

}  // namespace ptth
