#pragma once

// LinkShare: what one gateway is told of its share of the capacity (MAX_CONCURRENT_STREAMS), and to
// what it can be held. A limit that falls holds when the gateway has acknowledged it: until then it
// could not know. It only decides; the session does.

#include "agent/relay/session.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace ptth {

class LinkShare {
 public:
  // first: in the SETTINGS with which the session begins.
  LinkShare(uint32_t first, DrainStyle style) : style_(style), wanted_(first), announced_(first) {
    enforced_ = first;
  }

  void want(uint32_t share) { wanted_ = share == 0 ? 1 : share; }

  // What is to be announced now, with so many exchanges open; nothing: what is known will do.
  [[nodiscard]] std::optional<uint32_t> next(size_t open);

  // SETTINGS that say a limit go out, and come back acknowledged.
  void note_announced() { ++unanswered_; }

  void note_acknowledged();

  [[nodiscard]] bool all_acknowledged() const { return unanswered_ == 0; }

  [[nodiscard]] uint32_t announced() const { return announced_; }

  [[nodiscard]] uint32_t enforced() const { return enforced_; }

 private:
  const DrainStyle style_;
  uint32_t wanted_;
  uint32_t announced_;
  uint32_t enforced_;
  uint32_t unanswered_ = 1;
};

}  // namespace ptth
