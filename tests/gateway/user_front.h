#pragma once

// The connections that users have opened: finds out which HTTP version each speaks (ALPN, or the
// first bytes) and runs its session. Between an Entrance and UserSessions.

#include "agent/origin/origin.h"
#include "common/loop.h"
#include "tests/gateway/entrance.h"
#include "tests/gateway/user_session.h"

#include <functional>
#include <memory>
#include <vector>

namespace ptth::dev {

class UserFront {
 public:
  // origin outlives the front.
  UserFront(Loop& loop, Origin& origin, UserSession::Options options);
  ~UserFront();
  UserFront(const UserFront&) = delete;
  UserFront& operator=(const UserFront&) = delete;
  UserFront(UserFront&&) = delete;
  UserFront& operator=(UserFront&&) = delete;

  void add(Entrance::Arrival arrival);
  // Each connection finishes what it has in flight. empty is called from the loop when none is
  // left, or after the timeout, when the rest is cut.
  void leave(Milliseconds timeout, std::function<void()> empty);

 private:
  class Connection;

  void end(Connection& connection);

  Loop& loop_;
  Origin& origin_;
  UserSession::Options options_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool leaving_ = false;
  std::function<void()> empty_;
  Timer leave_timer_;
};

}  // namespace ptth::dev
