#pragma once

// Counters, gauges and histograms of one process, exposed as OpenMetrics text (version 1.0.0) or in
// the older text format of Prometheus (0.0.4). Used on the loop's thread only. References returned
// here stay valid until forget() takes the series away. Asking again for the same name and labels
// gives the same object. Names carry the prefix "ptth_" and base units; labels are bounded sets
// (gateway names, verdicts), never request data.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptth {

class Counter {
 public:
  void add(uint64_t count = 1) { value_ += count; }

  [[nodiscard]] uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

class Gauge {
 public:
  void set(double value) { value_ = value; }

  void add(double value) { value_ += value; }

  [[nodiscard]] double value() const { return value_; }

 private:
  double value_ = 0;
};

class Histogram {
 public:
  // Upper bounds in ascending order, without +Inf.
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);

  [[nodiscard]] std::span<const double> bounds() const { return bounds_; }

  // One more than bounds: the last is +Inf. Not cumulative.
  [[nodiscard]] std::span<const uint64_t> counts() const { return counts_; }

  [[nodiscard]] double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> counts_;
  double sum_ = 0;
};

// Seconds from 0.5 ms to 60 s, for every latency histogram.
[[nodiscard]] std::span<const double> latency_bounds();

enum class Exposition { kOpenMetrics, kPrometheusText };

class Metrics {
 public:
  // Series of one name. More are counted in ptth_metrics_series_refused and not exposed.
  static constexpr size_t kSeriesMax = 1000;

  using Labels = std::vector<std::pair<std::string, std::string>>;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  Metrics(Metrics&&) = delete;
  Metrics& operator=(Metrics&&) = delete;

  // name without "_total"; exposition adds it. A name that ends in "_seconds" or "_bytes" gets that
  // unit.
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                       Labels labels = {});
  // A counter that is kept elsewhere, in whatever unit its name says: read at each exposition. It
  // must never fall.
  void counter_from(std::string_view name, std::string_view help, std::function<double()> read);
  // Called before each exposition, to refresh gauges that are read rather than kept.
  void on_collect(std::function<void()> refresh);

  // The same for as long as it lives; the metrics outlive it.
  class Collector {
   public:
    Collector(Metrics& metrics, std::function<void()> refresh);
    ~Collector();
    Collector(const Collector&) = delete;
    Collector& operator=(const Collector&) = delete;
    Collector(Collector&&) = delete;
    Collector& operator=(Collector&&) = delete;

   private:
    friend class Metrics;
    Metrics& metrics_;
    std::function<void()> refresh_;
  };

  // Takes away every series that has this label. References to them must not be used any more.
  void forget(std::string_view label, std::string_view value);

  [[nodiscard]] std::string expose(Exposition exposition = Exposition::kOpenMetrics);

 private:
  struct Family;
  struct Series;
  enum class Type { kCounter, kGauge, kHistogram };
  Family& family(std::string_view name, std::string_view help, Type type);
  Series& series(Family& family, Labels labels);

  std::deque<Family> families_;  // In order of registration.
  std::vector<std::function<void()>> refreshers_;
  std::vector<const Collector*> collectors_;
  Counter* refused_;
};

}  // namespace ptth
