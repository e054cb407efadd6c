#pragma once

// An application for the demo and for tests: answers what the path asks for. The origin of the
// program ptth-dev-origin, behind UserSessions.

#include "agent/origin/origin.h"
#include "common/log.h"
#include "common/loop.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace ptth::dev {

// What each path does, for --help and for GET /.
[[nodiscard]] std::string_view toy_origin_help();

class ToyOrigin final : public Origin {
 public:
  ToyOrigin(Loop& loop, Log& log);

  [[nodiscard]] std::unique_ptr<OriginCall> start(const RequestHead& head,
                                                  ResponseListener& listener,
                                                  WorkSlot slot) override;

 private:
  // How often each id has been seen; no more ids than this are kept.
  static constexpr size_t kIdsMax = 1'000'000;

  Loop& loop_;
  Log& log_;
  uint64_t requests_ = 0;
  std::unordered_map<std::string, uint64_t> seen_;
};

}  // namespace ptth::dev
