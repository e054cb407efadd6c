#include "agent/load_meter.h"

#include <algorithm>
#include <sched.h>
#include <sys/sysinfo.h>
#include <utility>

namespace ptth {

namespace {

double growth(uint64_t before, uint64_t after) {
  return after > before ? static_cast<double>(after - before) : 0;
}

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

// Of what may be used of what there is; what cannot be read is not told.
std::optional<double> utilization(std::optional<double> used, std::optional<double> limit,
                                  double there_is) {
  const double whole = std::min(limit.value_or(there_is), there_is);
  if (!used || whole <= 0) return std::nullopt;
  return std::clamp(*used / whole, 0.0, 1.0);
}

std::optional<double> as_double(std::optional<uint64_t> number) {
  return number ? std::optional<double>(static_cast<double>(*number)) : std::nullopt;
}

}  // namespace

LoadMeter::Machine LoadMeter::this_machine() {
  struct sysinfo memory {};

  Machine machine;
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof usable, &usable) == 0) machine.processors = CPU_COUNT(&usable);
  if (sysinfo(&memory) == 0) machine.memory_bytes = uint64_t{memory.totalram} * memory.mem_unit;
  return machine;
}

LoadMeter::LoadMeter(Loop& loop, const Machine& machine, Read read)
    : loop_(loop), machine_(machine), read_(std::move(read)), timer_(loop, [this] { measure(); }) {}

void LoadMeter::start() {
  if (!timer_.running()) measure();
}

void LoadMeter::stop() {
  timer_.stop();
  last_.reset();
  text_.clear();
}

void LoadMeter::measure() {
  timer_.start(kInterval);
  const Reading now = read_();
  const uint64_t now_ms = loop_.now_ms();
  const double seconds = static_cast<double>(now_ms - last_ms_) / 1000;
  if (last_ && seconds > 0) {
    const StatusReport::Sample& before = last_->sample;
    report_.application_utilization =
        ratio(static_cast<double>(now.sample.in_flight), static_cast<double>(now.sample.capacity));
    report_.rps_fractional = growth(before.exchanges, now.sample.exchanges) / seconds;
    report_.eps = growth(before.failures, now.sample.failures) / seconds;
    std::optional<double> processors;
    if (now.usage.cpu_seconds && last_->usage.cpu_seconds) {
      processors = (*now.usage.cpu_seconds - *last_->usage.cpu_seconds) / seconds;
    }
    report_.cpu_utilization = utilization(processors, now.usage.cpu_limit, machine_.processors);
    report_.mem_utilization =
        utilization(as_double(now.usage.memory_bytes), as_double(now.usage.memory_limit),
                    static_cast<double>(machine_.memory_bytes));
    text_ = orca_text(report_);
  }
  last_ = now;
  last_ms_ = now_ms;
}

}  // namespace ptth
