#pragma once

// Faults that the development gateway makes on purpose: for every request (or worker connection),
// or only for the N-th, counted from 1.

#include "common/loop.h"

#include <cstdint>
#include <optional>

namespace ptth::dev {

struct Fault {
  uint64_t value = 0;  // Bytes, milliseconds or a status.
  uint64_t only = 0;   // 0: every one.

  [[nodiscard]] bool hits(uint64_t number) const { return only == 0 || only == number; }
};

struct FaultOptions {
  // By request.
  std::optional<Fault> delay_ms;      // Sent to a worker so much later.
  std::optional<Fault> stall_window;  // After so many bytes of answer, no stream credit comes back.
  std::optional<Fault> reset_after;   // RST_STREAM after so many bytes of answer.
  // By hello, of the profiles that have one: the status of the answer.
  std::optional<Fault> hello_status;
  // By worker connection.
  std::optional<Fault> cut_after;       // Closed after so many bytes came from the worker.
  std::optional<Fault> cut_after_sent;  // Closed after so many bytes went to the worker.
  std::optional<Fault> stop_reading;    // After so many bytes from the worker, and once attached.
};

// What is to happen to one request.
struct RequestFaults {
  Milliseconds delay{0};
  std::optional<uint64_t> stall_window;
  std::optional<uint64_t> reset_after;
};

// What is to happen to one worker connection.
struct ConnectionFaults {
  std::optional<uint64_t> cut_after;
  std::optional<uint64_t> cut_after_sent;
  std::optional<uint64_t> stop_reading;
};

[[nodiscard]] RequestFaults request_faults(const FaultOptions& options, uint64_t number);
[[nodiscard]] ConnectionFaults connection_faults(const FaultOptions& options, uint64_t number);

}  // namespace ptth::dev
