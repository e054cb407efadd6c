#include "agent/process_metrics.h"

#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <doctest/doctest.h>

using ptth::ClockMode;
using ptth::Histogram;
using ptth::Log;
using ptth::Loop;
using ptth::LoopLag;
using ptth::Metrics;
using ptth::Milliseconds;

namespace {

double value_of(const std::string& text, const std::string& name) {
  const size_t at = text.find("\n" + name + " ");
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + name.size() + 2));
}

}  // namespace

TEST_CASE("the process shows its memory, descriptors, CPU time and start") {
  Metrics metrics;
  const Log log({.level = ptth::LogLevel::kOff});
  ptth::register_process_metrics(metrics, log);
  const std::string before = metrics.expose();
  CHECK(value_of(before, "ptth_process_resident_memory_bytes") > 100'000);
  CHECK(value_of(before, "ptth_process_max_fds") >= value_of(before, "ptth_process_open_fds"));
  CHECK(value_of(before, "ptth_process_start_time_seconds") > 1.6e9);
  CHECK(value_of(before, "ptth_log_lines_dropped_total") == 0);
  CHECK(value_of(before, "ptth_process_cpu_seconds_total") > 0);
  const int one_more = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(value_of(metrics.expose(), "ptth_process_open_fds") ==
        value_of(before, "ptth_process_open_fds") + 1);
  close(one_more);
}

TEST_CASE("the lag of the loop is sampled twice a second") {
  Loop loop(ClockMode::kManual);
  Metrics metrics;
  const LoopLag lag(loop, metrics);
  loop.advance(Milliseconds(10'000));
  const Histogram& samples = metrics.histogram("ptth_loop_lag_seconds", "", {});
  CHECK(samples.counts()[0] == 20);
  CHECK(samples.sum() == 0);
}
