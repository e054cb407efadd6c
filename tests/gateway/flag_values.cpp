#include "agent/config_value.h"
#include "tests/gateway/flag_group.h"

#include <string_view>

namespace ptth::dev {

namespace {

template <class Parse>
Result<Fault> parse_fault(std::string_view text, Parse parse) {
  const size_t at = text.find('@');
  Fault fault;
  auto value = parse(text.substr(0, at));
  if (!value) return value.error();
  fault.value = value.value();
  if (at == std::string_view::npos) return fault;
  const auto only = parse_count(text.substr(at + 1));
  if (!only) return only.error();
  if (only.value() == 0) return configuration_error("they are counted from 1, not from 0");
  fault.only = only.value();
  return fault;
}

}  // namespace

Result<std::string> as_it_stands(const std::string& text) {
  return text;
}

Result<std::optional<Fault>> parse_bytes_fault(const std::string& text) {
  auto fault = parse_fault(text, parse_size);
  if (!fault) return fault.error();
  return std::optional(fault.value());
}

Result<std::optional<Fault>> parse_delay_fault(const std::string& text) {
  auto fault = parse_fault(text, [](std::string_view value) -> Result<uint64_t> {
    const auto duration = parse_duration(value);
    if (!duration) return duration.error();
    return static_cast<uint64_t>(duration.value().count());
  });
  if (!fault) return fault.error();
  return std::optional(fault.value());
}

Result<std::optional<Fault>> parse_status_fault(const std::string& text) {
  auto fault = parse_fault(text, parse_count);
  if (!fault) return fault.error();
  const uint64_t status = fault.value().value;
  const bool is_other_place = status == 307 || status == 308;
  if (status != 204 && !is_other_place && (status < 400 || status > 599)) {
    return configuration_error(std::to_string(status) + " is neither 204, 307, 308 nor 400 to 599");
  }
  return std::optional(fault.value());
}

Result<PeerCertificate> parse_client_certificates(const std::string& text) {
  if (text == "none") return PeerCertificate::kNone;
  if (text == "optional") return PeerCertificate::kOptional;
  if (text == "required") return PeerCertificate::kRequired;
  return configuration_error(ptth::in_quotes(text) + " is not none, optional or required");
}

}  // namespace ptth::dev
