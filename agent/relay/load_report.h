#pragma once

// LoadReport: how busy this worker is, in the words of ORCA (Open Request Cost Aggregation,
// xds.data.orca.v3.OrcaLoadReport), for a field of each answer that tells the gateway how to treat
// the worker.

#include <optional>
#include <string>

namespace ptth {

struct LoadReport {
  std::optional<double> cpu_utilization;  // 0 to 1, of what the worker may use.
  std::optional<double> mem_utilization;  // The same.
  double application_utilization = 0;     // Exchanges in flight, of the capacity.
  double rps_fractional = 0;              // Exchanges that ended, a second.
  double eps = 0;                         // Of those, failures.
};

inline constexpr const char* kLoadReportField = "endpoint-load-metrics";
// The same in gRPC's form, as an application may send it.
inline constexpr const char* kBinaryLoadReportField = "endpoint-load-metrics-bin";

// "TEXT cpu_utilization:0.3, application_utilization:0.4, ...". With ":", because Envoy took
// nothing else at first, and takes "=" besides it now.
[[nodiscard]] std::string orca_text(const LoadReport& report);

}  // namespace ptth
