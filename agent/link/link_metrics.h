#pragma once

// What the links of one gateway count.

#include "agent/link/link_state.h"
#include "common/error.h"
#include "common/metrics.h"

#include <array>
#include <string>
#include <string_view>

namespace ptth {

class LinkMetrics {
 public:
  LinkMetrics(Metrics& metrics, const std::string& gateway);

  // Links in that state now.
  [[nodiscard]] Gauge& in_state(LinkState state) const {
    return *states_[static_cast<size_t>(state)];
  }

  // By what ended the attempt or the link.
  [[nodiscard]] Counter& failures(ErrorKind reason) const;

  // Attached links that use it.
  [[nodiscard]] Gauge& using_profile(std::string_view profile) const;

  Counter& dials;
  Counter& attaches;
  Counter& redials_after_close;    // At once, after the gateway closed an attached link.
  Counter& redials_after_leaving;  // At once, after its GOAWAY.
  Counter& renewals;               // Connections replaced by a newer one, before they ended.
  Counter& renewals_failed;        // Replacements that could not be had; the older one stays.
  Counter& looks;                  // For a better profile, which was found.
  Counter& looks_failed;           // Which was not.
  Counter& redials_elsewhere;      // After a redirect.
  Counter& redials_to_ask_again;   // The gateway gave up waiting for a request to send.
  Gauge& credentials_refused;      // Links whose last attempt ended so.
  Histogram& attach_seconds;       // Dial to attached.

 private:
  Metrics& metrics_;
  std::string gateway_;
  std::array<Gauge*, kLinkStateCount> states_{};
};

}  // namespace ptth
