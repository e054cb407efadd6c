#pragma once

// LinkRecord: the state of a link, and all that is told of it: log lines and metrics. It decides
// nothing.

#include "agent/link/connection.h"
#include "agent/link/link_metrics.h"
#include "agent/link/link_state.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace ptth {

class LinkRecord {
 public:
  // gateway: its name.
  LinkRecord(Log& log, Metrics& metrics, std::string gateway, uint64_t link);
  ~LinkRecord();
  LinkRecord(const LinkRecord&) = delete;
  LinkRecord& operator=(const LinkRecord&) = delete;
  LinkRecord(LinkRecord&&) = delete;
  LinkRecord& operator=(LinkRecord&&) = delete;

  [[nodiscard]] LinkState state() const { return state_; }

  [[nodiscard]] bool credentials_refused() const { return credentials_refused_; }

  [[nodiscard]] const std::string& last_error() const { return last_error_; }

  [[nodiscard]] const LinkMetrics& metrics() const { return metrics_; }

  // A dial begins.
  void note_dial(const ProfileOffer& offer);

  enum class Gravity { kWarning, kExpected };

  // An attempt, or an attached connection, has ended with a fault.
  void note_failure(const Error& error, Gravity gravity);
  void note_attached(const Connection& connection);

  // To another state than kAttached and kBackingOff.
  void move(LinkState to, std::string_view reason);
  void move_to_attached(const Connection& connection);
  void move_to_wait(Milliseconds wait, std::string_view reason);

  // Make before break.
  void tell_replacing(std::string_view reason);
  void tell_replaced(const Connection& connection, std::string_view reason);
  void tell_not_replaced(const Error& error, Milliseconds wait);
  void tell_nothing_better(const Error& error, const ProfileOffer& offer);

 private:
  LinkState enter(LinkState to);
  void tell_attached(LinkState from, const Connection& connection, std::string_view reason) const;
  void use_profile(std::string_view profile);

  Log& log_;
  std::string gateway_;
  uint64_t link_;
  LinkMetrics metrics_;
  LinkState state_ = LinkState::kIdle;
  bool failing_ = false;  // The last attempt failed, and so is worth a warning.
  bool credentials_refused_ = false;
  std::string last_error_;
  std::string offered_;  // The profiles of the last dial.
  std::string in_use_;   // The profile with which the link is attached; empty while it is not.
};

}  // namespace ptth
