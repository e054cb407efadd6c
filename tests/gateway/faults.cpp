#include "tests/gateway/faults.h"

namespace ptth::dev {

namespace {

std::optional<uint64_t> value_for(const std::optional<Fault>& fault, uint64_t number) {
  if (!fault || !fault->hits(number)) return std::nullopt;
  return fault->value;
}

}  // namespace

RequestFaults request_faults(const FaultOptions& options, uint64_t number) {
  RequestFaults faults;
  faults.delay = Milliseconds(value_for(options.delay_ms, number).value_or(0));
  faults.stall_window = value_for(options.stall_window, number);
  faults.reset_after = value_for(options.reset_after, number);
  return faults;
}

ConnectionFaults connection_faults(const FaultOptions& options, uint64_t number) {
  ConnectionFaults faults;
  faults.cut_after = value_for(options.cut_after, number);
  faults.cut_after_sent = value_for(options.cut_after_sent, number);
  faults.stop_reading = value_for(options.stop_reading, number);
  return faults;
}

}  // namespace ptth::dev
