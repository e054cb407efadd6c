#pragma once

// Which build this is, what the process costs and how promptly its loop turns, as metrics.

#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstdint>

namespace ptth {

// CPU time, memory, descriptors and lost log lines, read when the metrics are. The log is borrowed
// and outlives the metrics.
void register_process_metrics(Metrics& metrics, const Log& log);

// ptth_loop_lag_seconds: how late a timer fires, which is how long an event may have to wait for
// the work of others.
class LoopLag {
 public:
  LoopLag(Loop& loop, Metrics& metrics);

 private:
  static constexpr Milliseconds kInterval{500};

  void start();
  void on_expired();

  Loop& loop_;
  Histogram& lag_;
  Timer timer_;
  uint64_t due_ms_ = 0;
};

}  // namespace ptth
