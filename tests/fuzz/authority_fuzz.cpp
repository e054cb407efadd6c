// Authorities, paths, origins and the list of what is served, one per line.

#include "common/authority.h"
#include "common/check.h"
#include "common/http_rules.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using ptth::Authority;
using ptth::Scheme;
using ptth::ServedAuthorities;

namespace {

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return byte > 0x20 && byte < 0x7f; });
}

void check_authority(std::string_view text) {
  const auto parsed = ptth::parse_authority(text);
  if (!parsed.ok()) return;
  const Authority& authority = parsed.value();
  const std::string& host = authority.host;
  CHECK_INVARIANT(!host.empty() && is_plain(host));
  CHECK_INVARIANT(host.find_first_of("@,/?#\\ \"ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos);
  CHECK_INVARIANT((host.find_first_of("[]:") != std::string::npos) == (host.front() == '['));
  const auto again = ptth::parse_authority(to_string(authority));
  CHECK_INVARIANT(again.ok() && again.value() == authority);
}

void check_rules(std::string_view text) {
  if (ptth::is_request_path(text, "OPTIONS")) {
    CHECK_INVARIANT(is_plain(text) && text.find('#') == std::string_view::npos);
    CHECK_INVARIANT(text == "*" || text.front() == '/');
  }
  const bool has_control = std::any_of(text.begin(), text.end(), [](char byte) {
    const auto value = static_cast<unsigned char>(byte);
    return (value < 0x20 && value != '\t') || value == 0x7f;
  });
  CHECK_INVARIANT(ptth::is_field_value(text) == !has_control);
  const auto length = ptth::parse_content_length(text);
  if (length.has_value()) {
    const size_t zeros = std::min(text.find_first_not_of('0'), text.size() - 1);
    CHECK_INVARIANT(std::to_string(*length) == text.substr(zeros));
  }
}

void check_origins(const std::vector<std::string>& lines) {
  std::vector<std::string> origins;
  for (const std::string& line : lines) {
    const auto origin = ptth::parse_served_origin(line);
    if (!origin.ok()) continue;
    const std::string text = to_string(origin.value());
    const auto again = ptth::parse_served_origin(text);
    CHECK_INVARIANT(again.ok() && again.value() == origin.value());
    origins.push_back(text);
  }
  const auto served = ServedAuthorities::parse(origins);
  CHECK_INVARIANT(served.ok() && served.value().matches_all() == origins.empty());
  for (const auto& origin : served.value().origins()) {
    Authority authority = origin.authority;
    if (origin.is_wildcard) authority.host.insert(0, "x.");
    CHECK_INVARIANT(served.value().matches(origin.scheme, authority));
    if (authority.port == 0) authority.port = default_port(origin.scheme);
    CHECK_INVARIANT(served.value().matches(Scheme::kHttp, authority));
    CHECK_INVARIANT(served.value().matches(Scheme::kHttps, authority));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  check_rules(rest);
  std::vector<std::string> lines;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  for (const std::string& line : lines) {
    check_authority(line);
    check_rules(line);
  }
  check_origins(lines);
  return 0;
}
