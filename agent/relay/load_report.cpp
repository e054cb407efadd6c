#include "agent/relay/load_report.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace ptth {

namespace {

void append(std::string& text, const char* name, std::optional<double> value) {
  // A field that is not a number, or negative, has the whole report refused.
  if (!value || !std::isfinite(*value)) return;
  constexpr double kHundredths = 100;
  const double rounded = std::round(std::max(*value, 0.0) * kHundredths) / kHundredths;
  std::array<char, 32> number{};
  const auto written = std::to_chars(number.data(), number.data() + number.size(), rounded,
                                     std::chars_format::fixed);
  if (written.ec != std::errc()) return;
  if (text.back() != ' ') text += ", ";
  text.append(name).append(":").append(number.data(), written.ptr);
}

}  // namespace

std::string orca_text(const LoadReport& report) {
  std::string text = "TEXT ";
  append(text, "cpu_utilization", report.cpu_utilization);
  append(text, "mem_utilization", report.mem_utilization);
  append(text, "application_utilization", report.application_utilization);
  append(text, "rps_fractional", report.rps_fractional);
  append(text, "eps", report.eps);
  return text;
}

}  // namespace ptth
