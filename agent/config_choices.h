#pragma once

// What config_assign.cpp, which reads settings, and config_show.cpp, which writes them, share: the
// settings that are one of several words, and those words.

#include "agent/config.h"
#include "agent/config_table.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace ptth {

template <class T>
using Choice = std::pair<std::string_view, T>;

inline constexpr std::array<Choice<LogLevel>, 6> kLogLevels{{{"trace", LogLevel::kTrace},
                                                             {"debug", LogLevel::kDebug},
                                                             {"info", LogLevel::kInfo},
                                                             {"warn", LogLevel::kWarn},
                                                             {"error", LogLevel::kError},
                                                             {"off", LogLevel::kOff}}};
inline constexpr std::array<Choice<LogFormat>, 2> kLogFormats{
    {{"json", LogFormat::kJson}, {"human", LogFormat::kHuman}}};
inline constexpr std::array<Choice<TlsVersion>, 2> kTlsVersions{
    {{"1.2", TlsVersion::kTls12}, {"1.3", TlsVersion::kTls13}}};
inline constexpr std::array<Choice<ForwardedPolicy>, 3> kForwardedPolicies{
    {{"trust", ForwardedPolicy::kTrust},
     {"replace", ForwardedPolicy::kReplace},
     {"strip", ForwardedPolicy::kStrip}}};
inline constexpr std::array<Choice<OauthClientAuth>, 3> kClientAuths{
    {{"basic", OauthClientAuth::kBasic},
     {"post", OauthClientAuth::kPost},
     {"tls", OauthClientAuth::kTls}}};
inline constexpr std::array<Choice<ReplayStyle>, 2> kRefusals{
    {{"retry", ReplayStyle::kReset}, {"answer", ReplayStyle::kAnswer}}};
inline constexpr std::array<Choice<std::string_view>, 11> kProfiles{
    {{"haproxy", "haproxy"},
     {"direct", "direct"},
     {"potato", "potato"},
     {"h2-reverse", "h2-reverse"},
     {"ptth", "ptth"},
     {"ptth-connect", "ptth-connect"},
     {"reverse", "reverse"},
     {"reverse-connect", "reverse-connect"},
     {"envoy", "envoy"},
     {"ptth-1.0", "ptth-1.0"},
     {"auto", "auto"}}};

template <class Choices>
std::string choice_names(const Choices& choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (!names.empty()) names += '|';
    names += name;
  }
  return names;
}

template <class Choices, class T>
std::string choice_name(const Choices& choices, const T& wanted) {
  for (const auto& [name, value] : choices) {
    if (value == wanted) return std::string(name);
  }
  return {};
}

// A duration or a size with its unit, or a number.
[[nodiscard]] std::string show_amount(ValueKind kind, uint64_t amount);

}  // namespace ptth
