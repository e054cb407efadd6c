#pragma once

// The one table of all settings. Flags, PTTH_* variables, keys of the JSON file, --help and the
// README's table are made from it: a setting that is not here does not exist.

#include "agent/config.h"
#include "common/error.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ptth {

enum class OptionGroup { kGateway, kOrigin, kServing, kOperation, kLimits };

// kEachGateway: each gateway has its own. In the file it stands in an element of "gateways", or at
// the top for all of them; a flag or a variable holds for every gateway.
// kEachClass: in the elements of "classes", in the file only; their keys begin with "classes.".
enum class OptionScope { kProcess, kEachGateway, kEachClass };

enum class ValueKind {
  kDuration,
  kSize,
  kCount,
  kRate,
  kSwitch,
  kFile,
  kGatewayName,
  kProfile,
  kHost,
  kAuthority,
  kAlpn,
  kServe,
  kHosts,
  kUri,
  kUriTemplate,
  kUriVariables,
  kProtocol,
  kToken,
  kTokens,
  kIdentifier,
  kIdentifiers,
  kClientAuth,
  kPins,
  kHeaders,
  kHeaderFiles,
  kPath,
  kPathOrOff,
  kPathPrefixes,
  kStatuses,
  kTlsVersion,
  kForwarded,
  kLogLevel,
  kLogFormat,
  kGatewayUrl,
  kProxyUrl,
  kOriginUrl,
  kListenAddress,
  kAddress,
  kCapacity,
  kFieldName,
  kRefusal,
  kPatterns,
  kFieldPatterns,
};

// Where a value lives.
using OptionSlot =
    std::variant<Milliseconds*, uint32_t*, size_t*, Rate*, bool*, std::string*,
                 std::vector<std::string>*, ServedAuthorities*, TlsVersion*, ForwardedPolicy*,
                 LogLevel*, LogFormat*, OauthClientAuth*, GatewayOptions*, HttpOriginOptions*,
                 ProxyOptions*, ReplayStyle*, std::vector<ClassMatch::FieldPattern>*>;

// Counts, bytes or milliseconds.
struct OptionRange {
  uint64_t min = 0;
  uint64_t max = UINT32_MAX;
};

struct ConfigOption {
  std::string_view flag;  // "drain-timeout"; PTTH_DRAIN_TIMEOUT follows. Empty: only in the file.
  std::string_view key;   // "drain.timeout". Empty: not in the file.
  OptionGroup group;
  OptionScope scope;
  ValueKind kind;
  OptionSlot (*slot)(Config& config, GatewayOptions& gateway);  // Null: --config.
  std::string_view help;
  OptionRange range = {};
  std::string_view default_text = {};  // For people, where the default is not one value.
};

[[nodiscard]] std::span<const ConfigOption> config_options();
// Its parts: those of a gateway; of capacity, queue and classes; the limits; and the others.
[[nodiscard]] std::span<const ConfigOption> gateway_options();
[[nodiscard]] std::span<const ConfigOption> capacity_options();
[[nodiscard]] std::span<const ConfigOption> limit_options();
[[nodiscard]] std::span<const ConfigOption> main_options();
[[nodiscard]] const ConfigOption* find_option_by_flag(std::string_view flag);
[[nodiscard]] const ConfigOption* find_option_by_key(std::string_view key);

[[nodiscard]] std::string environment_name(const ConfigOption& option);
// "DURATION", "json|human", ...; empty for switches.
[[nodiscard]] std::string value_name(const ConfigOption& option);
[[nodiscard]] bool is_list(const ConfigOption& option);
// The values of a list as they stand in one text, of a flag or a variable.
[[nodiscard]] std::vector<std::string> split_values(const ConfigOption& option,
                                                    std::string_view text);

// Parses the values and stores them. Only lists take more than one.
[[nodiscard]] Result<void> assign_option(const ConfigOption& option,
                                         const std::vector<std::string>& values, Config& config,
                                         GatewayOptions& gateway);
// The value as it would be written.
[[nodiscard]] std::string show_option(const ConfigOption& option, Config& config,
                                      GatewayOptions& gateway);

}  // namespace ptth
