// What each kind of value of the table means: text in, text out.

#include "agent/config_address.h"
#include "agent/config_choices.h"
#include "agent/config_discovery.h"
#include "agent/config_table.h"
#include "agent/config_value.h"
#include "agent/link/hello_spec.h"
#include "agent/link/path_scope.h"
#include "agent/nearest_match.h"
#include "agent/proxy_environment.h"
#include "common/address.h"
#include "common/ascii.h"
#include "common/http_rules.h"
#include "common/http_uri.h"
#include "common/spki_pin.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ptth {

namespace {

template <class Choices>
Result<typename Choices::value_type::second_type> choose(const Choices& choices,
                                                         std::string_view text) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) {
    if (name == text) return value;
    names.emplace_back(name);
  }
  return configuration_error(in_quotes(text) + " is not one of " + choice_names(choices) +
                             did_you_mean(text, names));
}

using Outcome = Result<void>;

template <class T, class U>
Outcome store(T* place, Result<U> parsed) {
  if (!parsed) return parsed.error();
  *place = static_cast<T>(std::move(parsed).value());
  return {};
}

Result<uint64_t> parse_amount(const ConfigOption& option, std::string_view text) {
  Result<uint64_t> amount = uint64_t{0};
  if (option.kind == ValueKind::kDuration) {
    const Result<Milliseconds> duration = parse_duration(text);
    if (!duration) return duration.error();
    amount = static_cast<uint64_t>(duration.value().count());
  } else {
    amount = option.kind == ValueKind::kSize ? parse_size(text) : parse_count(text);
  }
  if (!amount) return amount;
  const OptionRange& range = option.range;
  if (amount.value() < range.min) {
    return configuration_error(in_quotes(text) + " is too small; the least is " +
                               show_amount(option.kind, range.min));
  }
  if (amount.value() > range.max) {
    return configuration_error(in_quotes(text) + " is too large; the most is " +
                               show_amount(option.kind, range.max));
  }
  return amount;
}

Outcome assign_amount(const ConfigOption& option, std::string_view text, const OptionSlot& slot) {
  const Result<uint64_t> amount = parse_amount(option, text);
  if (auto* const* duration = std::get_if<Milliseconds*>(&slot)) {
    if (amount) **duration = Milliseconds(amount.value());
    return amount ? Outcome() : Outcome(amount.error());
  }
  if (auto* const* large = std::get_if<size_t*>(&slot)) return store(*large, amount);
  return store(std::get<uint32_t*>(slot), amount);
}

Outcome assign_capacity(const ConfigOption& option, std::string_view text, const OptionSlot& slot) {
  if (text != "auto") {
    const Result<uint64_t> number = parse_count(text);
    if (!number) {
      return configuration_error(in_quotes(text) + " is not a whole number, and not auto");
    }
    return assign_amount(option, text, slot);
  }
  *std::get<uint32_t*>(slot) = 0;
  return {};
}

// As fields are called in messages: in lower case.
Result<std::string> parse_field_name(std::string_view text) {
  if (text == "off") return std::string();
  if (!is_token(text)) return configuration_error(in_quotes(text) + " is not the name of a field");
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(), [](char byte) {
    return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
  });
  return name;
}

Outcome assign_field_patterns(const std::vector<std::string>& values,
                              std::vector<ClassMatch::FieldPattern>& patterns) {
  patterns.clear();
  for (const std::string& value : values) {
    const size_t colon = value.find(':');
    const Result<std::string> name = parse_field_name(value.substr(0, colon));
    if (colon == std::string::npos || !name || name.value().empty()) {
      return configuration_error(in_quotes(value) + " is not written like x-report:*");
    }
    patterns.push_back(
        {name.value(), std::string(trim_whitespace(std::string_view(value).substr(colon + 1)))});
  }
  return {};
}

Outcome assign_gateway_url(std::string_view text, GatewayOptions& gateway) {
  if (is_discovery(text)) return parse_discovery(text, gateway.discovery);
  const Result<GatewayUrl> url = parse_gateway_url(text);
  if (!url) return url.error();
  gateway.host = url.value().host;
  gateway.port = url.value().port;
  gateway.tls = url.value().tls;
  return {};
}

Outcome assign_proxy(std::string_view text, ProxyOptions& proxy) {
  if (text == "off") {
    proxy.mode = ProxyOptions::Mode::kNone;
    return {};
  }
  if (text.find('@') != std::string_view::npos) {
    return configuration_error(
        "user and password do not belong here; write user:password into a "
        "file, and give --proxy-credentials-file");
  }
  Result<ProxyOptions> parsed = parse_proxy_url(text);
  if (!parsed) return parsed.error();
  proxy.mode = ProxyOptions::Mode::kGiven;
  proxy.host = parsed.value().host;
  proxy.port = parsed.value().port;
  proxy.tls = parsed.value().tls;
  return {};
}

Outcome assign_origin_url(std::string_view text, HttpOriginOptions& origin) {
  const Result<OriginUrl> url = parse_origin_url(text);
  if (!url) return url.error();
  origin.host = url.value().host;
  origin.port = url.value().port;
  origin.unix_path = url.value().unix_path;
  return {};
}

Result<std::string> parse_gateway_name(std::string_view text) {
  constexpr size_t kNameSizeMax = 64;
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view("._:-").find(c) != std::string_view::npos;
  });
  if (text.empty() || text.size() > kNameSizeMax || !plain) {
    return configuration_error(in_quotes(text) +
                               ": a name has 1 to 64 letters, digits and any of . _ : -");
  }
  return std::string(text);
}

Result<std::string> parse_host(std::string_view text) {
  const Result<HostPort> parsed = parse_host_port(text);
  if (!parsed) return parsed.error();
  if (parsed.value().port != 0)
    return configuration_error(in_quotes(text) + ": no port belongs here");
  return parsed.value().host;
}

Result<std::string> parse_authority(std::string_view text) {
  const Result<HostPort> parsed = parse_host_port(text);
  if (!parsed) return parsed.error();
  return std::string(text);
}

Result<std::string> parse_file_name(std::string_view text) {
  if (text.empty()) return configuration_error("the name of a file is missing");
  return std::string(text);
}

Result<std::string> parse_token(std::string_view text) {
  if (!is_token(text)) {
    return configuration_error(in_quotes(text) +
                               ": letters, digits and any of !#$%&'*+-.^_`|~ belong here");
  }
  return std::string(text);
}

Result<std::string> parse_address(std::string_view text) {
  if (!Address::from_literal(std::string(text), 0)) {
    return configuration_error(in_quotes(text) +
                               " is no IP address, like 192.0.2.1 or 2001:db8::1");
  }
  return std::string(text);
}

// What a header field can carry in one word.
Result<std::string> parse_identifier(std::string_view text) {
  constexpr size_t kSizeMax = 255;
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char byte) { return byte > 0x20 && byte < 0x7f; });
  if (text.empty() || text.size() > kSizeMax || !plain) {
    return configuration_error(in_quotes(text) +
                               ": an id has 1 to 255 visible ASCII characters, and no space");
  }
  return std::string(text);
}

// What a request asks for, without a query.
Result<std::string> parse_path(std::string_view text) {
  if (text == "*" || !is_request_path(text, "GET") || text.find('?') != std::string_view::npos) {
    return configuration_error(in_quotes(text) +
                               " is no path, like /.well-known/ptth-challenge, without a query");
  }
  return std::string(text);
}

Result<std::string> parse_path_or_off(std::string_view text) {
  return text.empty() || text == "off" ? std::string() : parse_path(text);
}

Result<std::string> parse_protocol(std::string_view text) {
  if (!is_protocol(text)) {
    return configuration_error(in_quotes(text) + " is not written like ptth or PTTH/1.0");
  }
  return std::string(text);
}

// The text that was given, once it is known to make sense.
template <class T>
Result<std::string> if_good(std::string_view text, const Result<T>& parsed) {
  if (!parsed) return configuration_error(in_quotes(text) + ": " + parsed.error().detail);
  return std::string(text);
}

// One value of a list, as it is kept.
Result<std::string> parse_item(ValueKind kind, const std::string& text) {
  switch (kind) {
    case ValueKind::kAlpn:
      return parse_alpn_id(text);
    case ValueKind::kHosts:
      return parse_host(text);
    case ValueKind::kTokens:
      return parse_token(text);
    case ValueKind::kPins:
      return if_good(text, parse_spki_pin(text));
    case ValueKind::kStatuses:
      return if_good(text, parse_hello_status(text));
    case ValueKind::kUriVariables:
      return if_good(text, parse_hello_variable(text));
    case ValueKind::kHeaders: {
      // Never repeated: what is wrong with it may be that it is a secret.
      const Result<NameAndValue> field = parse_hello_field(text);
      if (!field) return configuration_error(field.error().detail);
      return text;
    }
    case ValueKind::kIdentifiers:
      return parse_identifier(text);
    case ValueKind::kHeaderFiles:
      return if_good(text, parse_header_file(text));
    case ValueKind::kPathPrefixes:
      return if_good(text, parse_path_prefix(text));
    default:
      return text;
  }
}

Outcome assign_list(const ConfigOption& option, const std::vector<std::string>& values,
                    std::vector<std::string>& list) {
  std::vector<std::string> items;
  for (const std::string& value : values) {
    Result<std::string> item = parse_item(option.kind, value);
    if (!item) return item.error();
    items.push_back(std::move(item).value());
  }
  list = std::move(items);
  return {};
}

Outcome assign_text(ValueKind kind, std::string_view text, std::string* place) {
  switch (kind) {
    case ValueKind::kGatewayName:
      return store(place, parse_gateway_name(text));
    case ValueKind::kHost:
      return store(place, parse_host(text));
    case ValueKind::kAuthority:
      return store(place, parse_authority(text));
    case ValueKind::kListenAddress:
      return store(place, parse_listen_address(text));
    case ValueKind::kAddress:
      return store(place, parse_address(text));
    case ValueKind::kProfile:
      return store(place, choose(kProfiles, text));
    case ValueKind::kUri:
      return store(place, if_good(text, parse_http_uri(text)));
    case ValueKind::kUriTemplate:
      return store(place, if_good(text, UriTemplate::parse(text)));
    case ValueKind::kProtocol:
      return store(place, parse_protocol(text));
    case ValueKind::kToken:
      return store(place, parse_token(text));
    case ValueKind::kIdentifier:
      return store(place, parse_identifier(text));
    case ValueKind::kPath:
      return store(place, parse_path(text));
    case ValueKind::kPathOrOff:
      return store(place, parse_path_or_off(text));
    case ValueKind::kFieldName:
      return store(place, parse_field_name(text));
    default:
      return store(place, parse_file_name(text));
  }
}

Outcome assign_one(const ConfigOption& option, const std::string& text, const OptionSlot& slot) {
  switch (option.kind) {
    case ValueKind::kDuration:
    case ValueKind::kSize:
    case ValueKind::kCount:
      return assign_amount(option, text, slot);
    case ValueKind::kCapacity:
      return assign_capacity(option, text, slot);
    case ValueKind::kRate:
      return store(std::get<Rate*>(slot), parse_rate(text));
    case ValueKind::kRefusal:
      return store(std::get<ReplayStyle*>(slot), choose(kRefusals, text));
    case ValueKind::kSwitch:
      return store(std::get<bool*>(slot), parse_switch(text));
    case ValueKind::kTlsVersion:
      return store(std::get<TlsVersion*>(slot), choose(kTlsVersions, text));
    case ValueKind::kForwarded:
      return store(std::get<ForwardedPolicy*>(slot), choose(kForwardedPolicies, text));
    case ValueKind::kClientAuth:
      return store(std::get<OauthClientAuth*>(slot), choose(kClientAuths, text));
    case ValueKind::kLogLevel:
      return store(std::get<LogLevel*>(slot), choose(kLogLevels, text));
    case ValueKind::kLogFormat:
      return store(std::get<LogFormat*>(slot), choose(kLogFormats, text));
    case ValueKind::kGatewayUrl:
      return assign_gateway_url(text, *std::get<GatewayOptions*>(slot));
    case ValueKind::kProxyUrl:
      return assign_proxy(text, *std::get<ProxyOptions*>(slot));
    case ValueKind::kOriginUrl:
      return assign_origin_url(text, *std::get<HttpOriginOptions*>(slot));
    case ValueKind::kFile:
    case ValueKind::kGatewayName:
    case ValueKind::kProfile:
    case ValueKind::kHost:
    case ValueKind::kAuthority:
    case ValueKind::kListenAddress:
    case ValueKind::kAddress:
    case ValueKind::kUri:
    case ValueKind::kUriTemplate:
    case ValueKind::kProtocol:
    case ValueKind::kToken:
    case ValueKind::kIdentifier:
    case ValueKind::kIdentifiers:
    case ValueKind::kAlpn:
    case ValueKind::kServe:
    case ValueKind::kHosts:
    case ValueKind::kTokens:
    case ValueKind::kPins:
    case ValueKind::kStatuses:
    case ValueKind::kUriVariables:
    case ValueKind::kHeaders:
    case ValueKind::kHeaderFiles:
    case ValueKind::kPath:
    case ValueKind::kPathOrOff:
    case ValueKind::kPathPrefixes:
    case ValueKind::kFieldName:
    case ValueKind::kPatterns:
    case ValueKind::kFieldPatterns:
      return assign_text(option.kind, text, std::get<std::string*>(slot));
  }
  return {};
}

}  // namespace

Result<void> assign_option(const ConfigOption& option, const std::vector<std::string>& values,
                           Config& config, GatewayOptions& gateway) {
  if (option.slot == nullptr) return {};
  const OptionSlot slot = option.slot(config, gateway);
  if (auto* const* list = std::get_if<std::vector<std::string>*>(&slot)) {
    return assign_list(option, values, **list);
  }
  if (auto* const* patterns = std::get_if<std::vector<ClassMatch::FieldPattern>*>(&slot)) {
    return assign_field_patterns(values, **patterns);
  }
  if (option.kind == ValueKind::kServe) {
    return store(std::get<ServedAuthorities*>(slot), ServedAuthorities::parse(values));
  }
  if (values.size() != 1) return configuration_error("one value is needed");
  return assign_one(option, values.front(), slot);
}

}  // namespace ptth
