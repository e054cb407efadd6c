#pragma once

// HeldInput: bytes of a gateway that wait until a session can read them. They count in the budgets
// as the bodies of exchanges do.

#include "agent/relay/budget.h"
#include "agent/relay/relay_metrics.h"
#include "common/byte_queue.h"
#include "common/byte_stream.h"

#include <algorithm>
#include <cstddef>

namespace ptth {

class HeldInput {
 public:
  // Both are borrowed.
  HeldInput(Budget& budget, RelayMetrics& metrics) : budget_(budget), metrics_(metrics) {}

  ~HeldInput() { drop(); }

  HeldInput(const HeldInput&) = delete;
  HeldInput& operator=(const HeldInput&) = delete;
  HeldInput(HeldInput&&) = delete;
  HeldInput& operator=(HeldInput&&) = delete;

  [[nodiscard]] bool empty() const { return bytes_.empty(); }

  [[nodiscard]] size_t size() const { return bytes_.size(); }

  [[nodiscard]] Bytes front() const { return bytes_.front(); }

  void keep(Bytes bytes) {
    bytes_.append(bytes);
    budget_.use(bytes.size());
    metrics_.buffered_bytes.add(static_cast<double>(bytes.size()));
  }

  // An empty one holds no memory.
  void consume(size_t count) {
    bytes_.consume(count);
    bytes_.shrink(0);
    marked_ -= std::min(count, marked_);
    budget_.give_back(count);
    metrics_.buffered_bytes.add(-static_cast<double>(count));
  }

  void drop() { consume(size()); }

  // Tells what is here now from what will come.
  void mark() { marked_ = size(); }

  [[nodiscard]] bool has_marked() const { return marked_ > 0; }

 private:
  Budget& budget_;
  RelayMetrics& metrics_;
  ByteQueue bytes_;
  size_t marked_ = 0;
};

}  // namespace ptth
