#include "agent/link/link_record.h"

#include "common/check.h"

#include <utility>

namespace ptth {

LinkRecord::LinkRecord(Log& log, Metrics& metrics, std::string gateway, uint64_t link)
    : log_(log), gateway_(std::move(gateway)), link_(link), metrics_(metrics, gateway_) {
  metrics_.in_state(state_).add(1);
}

LinkRecord::~LinkRecord() {
  metrics_.in_state(state_).add(-1);
  if (credentials_refused_) metrics_.credentials_refused.add(-1);
  use_profile({});
}

void LinkRecord::note_dial(const ProfileOffer& offer) {
  metrics_.dials.add();
  offered_ = offer.names();
}

void LinkRecord::note_failure(const Error& error, Gravity gravity) {
  metrics_.failures(error.kind).add();
  failing_ = gravity == Gravity::kWarning;
  last_error_ = error.detail;
  const bool refused = error.kind == ErrorKind::kRefused;
  metrics_.credentials_refused.add((refused ? 1 : 0) - (credentials_refused_ ? 1 : 0));
  credentials_refused_ = refused;
}

void LinkRecord::note_attached(const Connection& connection) {
  metrics_.attaches.add();
  metrics_.attach_seconds.observe(static_cast<double>(connection.age().count()) / 1000.0);
  if (credentials_refused_) metrics_.credentials_refused.add(-1);
  credentials_refused_ = false;
  failing_ = false;
  last_error_.clear();
  use_profile(connection.trial().agreed->name());
}

void LinkRecord::use_profile(std::string_view profile) {
  if (profile == in_use_) return;
  if (!in_use_.empty()) metrics_.using_profile(in_use_).add(-1);
  in_use_ = profile;
  if (!in_use_.empty()) metrics_.using_profile(in_use_).add(1);
}

// From which.
LinkState LinkRecord::enter(LinkState to) {
  CHECK_INVARIANT(may_follow(state_, to));
  metrics_.in_state(state_).add(-1);
  metrics_.in_state(to).add(1);
  if (to != LinkState::kAttached) use_profile({});
  return std::exchange(state_, to);
}

// What operators wait for is told, each step on the way only when asked for.
void LinkRecord::move(LinkState to, std::string_view reason) {
  const LinkState from = enter(to);
  const bool is_end = to == LinkState::kDraining || to == LinkState::kClosed;
  const LogLevel level = is_end ? LogLevel::kInfo : LogLevel::kDebug;
  if (!log_.enabled(level)) return;
  log_.write(level, "link state",
             {{"gateway", gateway_},
              {"link", link_},
              {"from", to_string(from)},
              {"to", to_string(to)},
              {"reason", reason}});
}

void LinkRecord::move_to_attached(const Connection& connection) {
  tell_attached(enter(LinkState::kAttached), connection, "");
}

void LinkRecord::tell_attached(LinkState from, const Connection& connection,
                               std::string_view reason) const {
  log_.info("link state", {{"gateway", gateway_},
                           {"link", link_},
                           {"from", to_string(from)},
                           {"to", to_string(state_)},
                           {"reason", reason},
                           {"profile", in_use_},
                           {"address", connection.address()},
                           {"tls", connection.tls_version()},
                           {"took_ms", int64_t{connection.age().count()}}});
}

void LinkRecord::move_to_wait(Milliseconds wait, std::string_view reason) {
  const LinkState from = enter(LinkState::kBackingOff);
  const LogLevel level = failing_ ? LogLevel::kWarn : LogLevel::kInfo;
  if (!log_.enabled(level)) return;
  log_.write(level, "link state",
             {{"gateway", gateway_},
              {"link", link_},
              {"from", to_string(from)},
              {"to", to_string(state_)},
              {"reason", reason},
              {"wait_ms", int64_t{wait.count()}},
              {"profile", offered_}});
}

void LinkRecord::tell_replacing(std::string_view reason) {
  log_.info("replacing the connection of a link",
            {{"gateway", gateway_}, {"link", link_}, {"reason", reason}});
}

void LinkRecord::tell_replaced(const Connection& connection, std::string_view reason) {
  tell_attached(state_, connection, "replaced: " + std::string(reason));
}

void LinkRecord::tell_not_replaced(const Error& error, Milliseconds wait) {
  log_.warn("a link keeps its connection, because another cannot be had",
            {{"gateway", gateway_},
             {"link", link_},
             {"reason", error.detail},
             {"wait_ms", int64_t{wait.count()}}});
}

void LinkRecord::tell_nothing_better(const Error& error, const ProfileOffer& offer) {
  log_.info("a link keeps its profile, because the gateway does not take a better one",
            {{"gateway", gateway_},
             {"link", link_},
             {"profile", in_use_},
             {"tried", offer.names()},
             {"reason", error.detail}});
}

}  // namespace ptth
