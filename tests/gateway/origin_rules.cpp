#include "tests/gateway/origin_rules.h"

#include "common/authority.h"

#include <algorithm>

namespace ptth::dev {

namespace {

std::optional<std::string> wrong_with_origin(std::string_view announced, const OriginRules& rules,
                                             std::string_view worker) {
  const auto parsed = parse_served_origin(announced);
  if (!parsed || to_string(parsed.value()) != announced) {
    return "\"" + std::string(announced) + "\" is no ASCII serialization of an origin (RFC 6454)";
  }
  if (rules.allow(worker, announced)) return std::nullopt;
  return may_not_register(worker, announced);
}

}  // namespace

bool OriginRules::allow(std::string_view worker, std::string_view origin) const {
  if (allowed.empty()) return true;
  return std::ranges::any_of(allowed, [&](const Registration& one) {
    return one.origin == origin && (one.worker.empty() || one.worker == worker);
  });
}

Registration parse_registration(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return {{}, text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::string may_not_register(std::string_view worker, std::string_view origin) {
  const std::string who = worker.empty() ? "this worker" : "the worker " + std::string(worker);
  return who + " may not register " + std::string(origin) + " (--register)";
}

std::optional<std::string> wrong_with_origins(std::span<const nghttp2_origin_entry> announced,
                                              const OriginRules& rules, std::string_view worker) {
  for (const nghttp2_origin_entry& entry : announced) {
    const std::string_view text(reinterpret_cast<const char*>(entry.origin), entry.origin_len);
    if (auto wrong = wrong_with_origin(text, rules, worker)) return wrong;
  }
  return std::nullopt;
}

}  // namespace ptth::dev
