#include "common/metrics.h"

#include <array>
#include <limits>
#include <string>

#include <doctest/doctest.h>

using ptth::Exposition;
using ptth::Metrics;

namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a counter is exposed with _total and ends the text with # EOF") {
  Metrics metrics;
  metrics.counter("ptth_exchanges", "Exchanges at their end.", {{"verdict", "ok"}}).add(3);
  const std::string text = metrics.expose();
  CHECK(has_line(text, "# TYPE ptth_exchanges counter"));
  CHECK(has_line(text, "# HELP ptth_exchanges Exchanges at their end."));
  CHECK(has_line(text, "ptth_exchanges_total{verdict=\"ok\"} 3"));
  CHECK(text.ends_with("\n# EOF\n"));
}

TEST_CASE("the older text format names the counter with _total and has neither unit nor EOF") {
  Metrics metrics;
  metrics.counter("ptth_sent_bytes", "Bytes.").add(1);
  const std::string text = metrics.expose(Exposition::kPrometheusText);
  CHECK(has_line(text, "# TYPE ptth_sent_bytes_total counter"));
  CHECK(has_line(text, "ptth_sent_bytes_total 1"));
  CHECK(text.find("UNIT") == std::string::npos);
  CHECK(text.find("EOF") == std::string::npos);
}

TEST_CASE("the same name and labels, in any order, are the same series") {
  Metrics metrics;
  auto& first = metrics.counter("ptth_x", "X.", {{"a", "1"}, {"b", "2"}});
  auto& second = metrics.counter("ptth_x", "X.", {{"b", "2"}, {"a", "1"}});
  auto& other = metrics.counter("ptth_x", "X.", {{"a", "1"}});
  CHECK(&first == &second);
  CHECK(&first != &other);
}

TEST_CASE("label values and help texts cannot break out of their place") {
  Metrics metrics;
  metrics.gauge("ptth_g", "A \"quoted\\ help\nof two lines",
                {{"gateway", "a\"} 1\n\\b\xff\xc3\xa9"}});
  const std::string text = metrics.expose();
  CHECK(has_line(text, "# HELP ptth_g A \\\"quoted\\\\ help\\nof two lines"));
  CHECK(has_line(text, "ptth_g{gateway=\"a\\\"} 1\\n\\\\b\xef\xbf\xbd\xc3\xa9\"} 0.0"));
  CHECK(has_line(metrics.expose(Exposition::kPrometheusText),
                 "# HELP ptth_g A \"quoted\\\\ help\\nof two lines"));
}

TEST_CASE("a histogram is cumulative, counts a value on a bound below it, and names its unit") {
  Metrics metrics;
  constexpr std::array<double, 3> kBounds = {0.1, 1, 10};
  auto& histogram = metrics.histogram("ptth_wait_seconds", "Waits.", kBounds, {{"phase", "queue"}});
  for (const double value : {0.05, 0.1, 0.5, 1.0, 100.0})
    histogram.observe(value);
  const std::string text = metrics.expose();
  CHECK(has_line(text, "# UNIT ptth_wait_seconds seconds"));
  CHECK(has_line(text, "ptth_wait_seconds_bucket{phase=\"queue\",le=\"0.1\"} 2"));
  CHECK(has_line(text, "ptth_wait_seconds_bucket{phase=\"queue\",le=\"1.0\"} 4"));
  CHECK(has_line(text, "ptth_wait_seconds_bucket{phase=\"queue\",le=\"10.0\"} 4"));
  CHECK(has_line(text, "ptth_wait_seconds_bucket{phase=\"queue\",le=\"+Inf\"} 5"));
  CHECK(has_line(text, "ptth_wait_seconds_count{phase=\"queue\"} 5"));
  CHECK(has_line(text, "ptth_wait_seconds_sum{phase=\"queue\"} 101.65"));
}

TEST_CASE("gauges show numbers that JSON could not") {
  Metrics metrics;
  metrics.gauge("ptth_a", "A.").set(std::numeric_limits<double>::infinity());
  metrics.gauge("ptth_b", "B.").set(std::numeric_limits<double>::quiet_NaN());
  metrics.gauge("ptth_c", "C.").set(1e300);
  const std::string text = metrics.expose();
  CHECK(has_line(text, "ptth_a +Inf"));
  CHECK(has_line(text, "ptth_b NaN"));
  CHECK(has_line(text, "ptth_c 1e+300"));
}

TEST_CASE("gauges that are read rather than kept are refreshed before each exposition") {
  Metrics metrics;
  auto& gauge = metrics.gauge("ptth_g", "G.");
  int calls = 0;
  metrics.on_collect([&] { gauge.set(++calls); });
  CHECK(has_line(metrics.expose(), "ptth_g 1.0"));
  CHECK(has_line(metrics.expose(), "ptth_g 2.0"));
}

TEST_CASE("a counter that is kept elsewhere is read when it is shown") {
  Metrics metrics;
  double seconds = 0.5;
  metrics.counter_from("ptth_cpu_seconds", "CPU.", [&] { return seconds; });
  CHECK(has_line(metrics.expose(), "ptth_cpu_seconds_total 0.5"));
  seconds = 2;
  CHECK(has_line(metrics.expose(), "ptth_cpu_seconds_total 2.0"));
}

TEST_CASE("series beyond the limit of a name are counted, still usable, and not exposed") {
  Metrics metrics;
  for (size_t index = 0; index < Metrics::kSeriesMax; ++index)
    metrics.counter("ptth_many", "Many.", {{"n", std::to_string(index)}});
  metrics.counter("ptth_many", "Many.", {{"n", "one-more"}}).add();
  const std::string text = metrics.expose();
  CHECK(text.find("one-more") == std::string::npos);
  CHECK(has_line(text, "ptth_metrics_series_refused_total 1"));
}

TEST_CASE("series with a label can be forgotten, and only those") {
  Metrics metrics;
  metrics.counter("ptth_x", "X.", {{"gateway", "a"}}).add(1);
  metrics.gauge("ptth_y", "Y.", {{"gateway", "a"}, {"state", "up"}}).set(1);
  metrics.counter("ptth_x", "X.", {{"gateway", "ab"}}).add(1);
  metrics.counter("ptth_x", "X.", {{"other_gateway", "a"}}).add(1);
  metrics.counter("ptth_x", "X.", {{"gateway", "b,gateway=\"a\""}}).add(1);
  metrics.forget("gateway", "a");
  const std::string text = metrics.expose();
  CHECK_FALSE(has_line(text, "ptth_x_total{gateway=\"a\"} 1"));
  CHECK(text.find("ptth_y{") == std::string::npos);
  CHECK(has_line(text, "ptth_x_total{gateway=\"ab\"} 1"));
  CHECK(has_line(text, "ptth_x_total{other_gateway=\"a\"} 1"));
  CHECK(has_line(text, "ptth_x_total{gateway=\"b,gateway=\\\"a\\\"\"} 1"));
  CHECK(metrics.counter("ptth_x", "X.", {{"gateway", "a"}}).value() == 0);
}

TEST_CASE("a collector refreshes for as long as it lives") {
  Metrics metrics;
  int calls = 0;
  {
    const Metrics::Collector collector(metrics, [&calls] { ++calls; });
    static_cast<void>(metrics.expose());
  }
  static_cast<void>(metrics.expose());
  CHECK(calls == 1);
}
