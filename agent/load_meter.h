#pragma once

// LoadMeter: once a second, how busy the worker has been since the second before, as the text of a
// load report. Processor and memory are those of the control group, so that in one container the
// application beside us counts too.

#include "agent/relay/load_report.h"
#include "agent/status_report.h"
#include "common/cgroup.h"
#include "common/loop.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace ptth {

class LoadMeter {
 public:
  // What there is where no group sets a limit, or one beyond it.
  struct Machine {
    double processors = 0;
    uint64_t memory_bytes = 0;
  };

  [[nodiscard]] static Machine this_machine();

  struct Reading {
    StatusReport::Sample sample;
    CgroupUsage usage;
  };

  using Read = std::function<Reading()>;

  static constexpr Milliseconds kInterval{1'000};

  // Measures nothing until start(). The loop is borrowed.
  LoadMeter(Loop& loop, const Machine& machine, Read read);

  // Both may be called again.
  void start();
  void stop();

  [[nodiscard]] const LoadReport& report() const { return report_; }

  // As ORCA writes it; empty until there are two readings, and after stop(). The same string for as
  // long as this lives.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void measure();

  Loop& loop_;
  const Machine machine_;
  Read read_;
  std::optional<Reading> last_;
  uint64_t last_ms_ = 0;
  LoadReport report_;
  std::string text_;
  Timer timer_;
};

}  // namespace ptth
