#pragma once

// GradientLimit: how many exchanges an origin takes at once, found from its latency. The algorithm
// is Gradient, as published in Netflix's concurrency-limits (GradientLimit.java): per window of
// samples
//
//   limit = limit * (latency without queueing / latency now) + headroom
//
// By Little's law the first part is where a queue inside the origin begins; the headroom finds out
// whether there is more. The latency without queueing is measured by probes, as in Envoy's adaptive
// concurrency filter (gradient controller); a probe lowers the limit by a quarter, not to a
// minimum, and goes on only while that makes the origin faster. An origin that became slow for
// another reason (a database) is found out by the same probe, so that the limit does not follow it
// down. Errors that say overload lower the limit whatever the latency.

#include <cstdint>

namespace ptth {

struct GradientOptions {
  uint32_t initial = 20;
  uint32_t floor = 4;
  uint32_t ceiling = 1000;
  uint32_t headroom_percent = 10;   // Of the limit, beside what the latency allows.
  uint32_t smoothing_percent = 50;  // How much of a change is made with each window.
  uint32_t window_ms = 250;         // At least; more while the origin is slow or idle.
  uint32_t samples_min = 200;       // Of a window.
  uint32_t probe_windows = 40;      // From one probe to the next.

  [[nodiscard]] bool operator==(const GradientOptions&) const = default;
};

class GradientLimit {
 public:
  enum class Outcome {
    kAnswered,
    kOverloaded,  // Refused, timed out, or said 429 or 503: tells nothing about latency.
  };

  struct Sample {
    uint64_t started_us = 0;
    uint64_t first_byte_us = 0;
    uint32_t in_flight = 0;  // When it started, itself included.
    Outcome outcome = Outcome::kAnswered;
  };

  GradientLimit(const GradientOptions& options, uint64_t now_us);

  // In the order of first_byte_us.
  void add(const Sample& sample);

  [[nodiscard]] uint32_t limit() const;

  // What is taken for the latency without queueing; 0: not known yet.
  [[nodiscard]] double base_us() const { return base_us_; }

 private:
  // What one window has seen.
  struct Window {
    uint64_t began_us = 0;
    double sum_us = 0;
    uint32_t samples = 0;
    uint32_t overloads = 0;
    uint32_t in_flight_max = 0;
  };

  // The search for the latency without queueing.
  struct Probe {
    bool active = false;
    double limit = 0;  // Where it began, and what the latency was there.
    double latency_us = 0;
    double last_us = 0;      // The latency of its last step.
    uint32_t no_faster = 0;  // Steps one after the other that gained nothing.
  };

  [[nodiscard]] bool window_is_full(uint64_t now_us) const;
  void end_window(uint64_t now_us);
  void track(double latency_us);
  void begin_probe(double latency_us);
  void step_probe(double latency_us);
  void end_probe();
  void set_limit(double limit);

  GradientOptions options_;
  double limit_;
  double base_us_ = 0;
  double window_us_;
  uint32_t windows_since_probe_ = 0;
  uint32_t growing_windows_ = 0;  // One after the other in which nothing spoke against more.
  Window window_;
  Probe probe_;
};

}  // namespace ptth
