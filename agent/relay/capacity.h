#pragma once

// Capacity: how many exchanges the origin may have in hand, by whoever says it. The admin listener
// outranks the application's own word, that outranks the configuration, which is a number or the
// search for one (GradientLimit).

#include "agent/relay/gradient_limit.h"
#include "common/metrics.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ptth {

struct CapacityOptions {
  uint32_t limit = 100;      // 0: found by GradientLimit.
  GradientOptions gradient;  // Its floor and ceiling hold for what the application says, too.
  // The field of an answer by which the application says it; it goes no further. Empty: none.
  std::string header;

  [[nodiscard]] bool operator==(const CapacityOptions&) const = default;
};

class Capacity {
 public:
  enum class Source { kFixed, kAuto, kApplication, kAdmin };
  static constexpr size_t kSources = 4;

  // Metrics outlive it.
  Capacity(Metrics& metrics, const CapacityOptions& options, uint64_t now_us);
  Capacity(const Capacity&) = delete;
  Capacity& operator=(const Capacity&) = delete;
  Capacity(Capacity&&) = delete;
  Capacity& operator=(Capacity&&) = delete;

  [[nodiscard]] uint32_t in_force() const { return in_force_; }

  [[nodiscard]] Source source() const { return source_; }

  // Answers have to be watched: for their latency, or for the application's word.
  [[nodiscard]] bool needs_answers() const {
    return search_.has_value() || !options_.header.empty();
  }

  [[nodiscard]] const std::string& header() const { return options_.header; }

  void add_sample(const GradientLimit::Sample& sample);
  // The value of that field. What makes no sense is counted and changes nothing.
  void set_by_application(std::string_view value);
  // Nothing: the others decide again.
  void set_by_admin(std::optional<uint32_t> limit);

 private:
  void choose();

  CapacityOptions options_;
  std::optional<GradientLimit> search_;
  std::array<std::optional<uint32_t>, kSources> said_;
  uint32_t in_force_ = 0;
  Source source_ = Source::kFixed;
  Gauge& in_force_gauge_;
  Gauge& base_seconds_;
  Counter& not_understood_;
  std::array<Gauge*, kSources> said_gauges_{};
  std::array<Gauge*, kSources> rules_gauges_{};
};

[[nodiscard]] std::string_view to_string(Capacity::Source source);

}  // namespace ptth
