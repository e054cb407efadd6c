// What can be asked of the table of settings as a whole.

#include "agent/config_table.h"
#include "agent/config_value.h"

#include <algorithm>

namespace ptth {

using enum ValueKind;

std::span<const ConfigOption> config_options() {
  static const std::vector<ConfigOption> all = [] {
    std::vector<ConfigOption> options;
    for (const auto part : {gateway_options(), main_options(), capacity_options(), limit_options()})
      options.insert(options.end(), part.begin(), part.end());
    return options;
  }();
  return all;
}

const ConfigOption* find_option_by_flag(std::string_view flag) {
  const auto options = config_options();
  const auto found = std::find_if(options.begin(), options.end(),
                                  [&](const ConfigOption& option) { return option.flag == flag; });
  return flag.empty() || found == options.end() ? nullptr : &*found;
}

const ConfigOption* find_option_by_key(std::string_view key) {
  const auto options = config_options();
  const auto found = std::find_if(options.begin(), options.end(),
                                  [&](const ConfigOption& option) { return option.key == key; });
  return key.empty() || found == options.end() ? nullptr : &*found;
}

std::string environment_name(const ConfigOption& option) {
  std::string name = "PTTH_";
  for (const char c : option.flag) {
    const bool is_letter = c >= 'a' && c <= 'z';
    name += c == '-' ? '_' : static_cast<char>(is_letter ? c - 'a' + 'A' : c);
  }
  return option.flag.empty() ? std::string() : name;
}

bool is_list(const ConfigOption& option) {
  switch (option.kind) {
    case kAlpn:
    case kServe:
    case kGatewayUrl:
    case kHosts:
    case kTokens:
    case kPins:
    case kStatuses:
    case kUriVariables:
    case kHeaders:
    case kHeaderFiles:
    case kIdentifiers:
    case kPathPrefixes:
    case kPatterns:
    case kFieldPatterns:
      return true;
    default:
      return false;
  }
}

std::vector<std::string> split_values(const ConfigOption& option, std::string_view text) {
  // These may hold commas.
  const bool is_text = option.kind == kHeaders || option.kind == kHeaderFiles ||
                       option.kind == kUriVariables || option.kind == kFieldPatterns;
  return split_list(text, is_text ? '\n' : ',');
}

}  // namespace ptth
