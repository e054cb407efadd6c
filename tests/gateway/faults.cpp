#include "tests/gateway/faults.h"

#include <array>
#include <charconv>
#include <span>
#include <string>

namespace ptth::dev {

namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

constexpr std::array<Unit, 5> kByteUnits{
    {{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}}};
constexpr std::array<Unit, 2> kTimeUnits{{{"ms", 1}, {"s", 1000}}};

Error bad_fault(std::string_view text, std::string_view why) {
  return {ErrorKind::kConfiguration, Side::kLocal,
          "'" + std::string(text) + "' is not a fault: " + std::string(why)};
}

std::optional<uint64_t> number_before(std::string_view& text) {
  uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

Result<Fault> parse(std::string_view text, std::span<const Unit> units, std::string_view example) {
  const std::string wanted = "write it like " + std::string(example);
  std::string_view rest = text;
  Fault fault;
  const auto value = number_before(rest);
  if (!value) return bad_fault(text, wanted);
  std::string_view unit_name = rest.substr(0, rest.find('@'));
  rest.remove_prefix(unit_name.size());
  const Unit* unit = nullptr;
  for (const Unit& known : units) {
    if (known.name == unit_name) unit = &known;
  }
  if (unit == nullptr || *value > UINT64_MAX / 2 / unit->factor) return bad_fault(text, wanted);
  fault.value = *value * unit->factor;
  if (!rest.empty()) {
    rest.remove_prefix(1);
    const auto only = number_before(rest);
    if (!only || *only == 0 || !rest.empty()) return bad_fault(text, wanted);
    fault.only = *only;
  }
  return fault;
}

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

Result<Fault> parse_bytes_fault(std::string_view text) {
  return parse(text, kByteUnits, "1000, 64KiB or 64KiB@3 (the third only)");
}

Result<Fault> parse_duration_fault(std::string_view text) {
  return parse(text, kTimeUnits, "200ms, 2s or 2s@3 (the third only)");
}

}  // namespace ptth::dev
