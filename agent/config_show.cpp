// Settings as text: what they are, and what belongs there.

#include "agent/config_address.h"
#include "agent/config_choices.h"
#include "agent/config_discovery.h"
#include "agent/config_table.h"
#include "agent/config_value.h"

#include <variant>
#include <vector>

namespace ptth {

std::string show_amount(ValueKind kind, uint64_t amount) {
  switch (kind) {
    case ValueKind::kDuration:
      return show_duration(Milliseconds(amount));
    case ValueKind::kSize:
      return show_size(amount);
    case ValueKind::kCapacity:
      return amount == 0 ? "auto" : std::to_string(amount);
    default:
      return std::to_string(amount);
  }
}

namespace {

std::string join(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) {
    if (!out.empty()) out += ",";
    out += item;
  }
  return out;
}

struct Show {
  ValueKind kind;

  std::string operator()(const Milliseconds* duration) const { return show_duration(*duration); }

  std::string operator()(const uint32_t* amount) const { return show_amount(kind, *amount); }

  std::string operator()(const size_t* amount) const { return show_amount(kind, *amount); }

  std::string operator()(const Rate* rate) const { return show_rate(*rate); }

  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }

  std::string operator()(const std::string* text) const {
    const bool may_be_off = kind == ValueKind::kListenAddress || kind == ValueKind::kFieldName ||
                            kind == ValueKind::kPathOrOff;
    return may_be_off && text->empty() ? "off" : *text;
  }

  std::string operator()(const std::vector<std::string>* list) const {
    if (kind != ValueKind::kAlpn) return join(*list);
    std::vector<std::string> ids;
    for (const std::string& id : *list)
      ids.push_back(show_alpn_id(id));
    return join(ids);
  }

  std::string operator()(const ServedAuthorities* served) const {
    std::vector<std::string> origins;
    for (const ServedOrigin& origin : served->origins())
      origins.push_back(to_string(origin));
    return join(origins);
  }

  std::string operator()(const TlsVersion* version) const {
    return choice_name(kTlsVersions, *version);
  }

  std::string operator()(const ForwardedPolicy* policy) const {
    return choice_name(kForwardedPolicies, *policy);
  }

  std::string operator()(const OauthClientAuth* how) const {
    return choice_name(kClientAuths, *how);
  }

  std::string operator()(const LogLevel* level) const { return choice_name(kLogLevels, *level); }

  std::string operator()(const LogFormat* format) const {
    return choice_name(kLogFormats, *format);
  }

  std::string operator()(const ReplayStyle* style) const { return choice_name(kRefusals, *style); }

  std::string operator()(const std::vector<ClassMatch::FieldPattern>* patterns) const {
    std::vector<std::string> texts;
    for (const ClassMatch::FieldPattern& pattern : *patterns)
      texts.push_back(pattern.name + ":" + pattern.value);
    return join(texts);
  }

  std::string operator()(const GatewayOptions* gateway) const {
    if (gateway->host.empty()) return show_discovery(gateway->discovery);
    return show_gateway_url({gateway->host, gateway->port, gateway->tls});
  }

  std::string operator()(const ProxyOptions* proxy) const {
    if (proxy->mode == ProxyOptions::Mode::kNone) return "off";
    return proxy->host.empty() ? std::string() : show_proxy(*proxy);
  }

  std::string operator()(const HttpOriginOptions* origin) const {
    return show_origin_url({origin->host, origin->port, origin->unix_path});
  }
};

}  // namespace

std::string show_option(const ConfigOption& option, Config& config, GatewayOptions& gateway) {
  if (option.slot == nullptr) return {};
  return std::visit(Show{option.kind}, option.slot(config, gateway));
}

std::string value_name(const ConfigOption& option) {
  switch (option.kind) {
    case ValueKind::kDuration:
      return "DURATION";
    case ValueKind::kSize:
      return "SIZE";
    case ValueKind::kCount:
      return "N";
    case ValueKind::kRate:
      return "RATE";
    case ValueKind::kSwitch:
      return {};
    case ValueKind::kFile:
      return "FILE";
    case ValueKind::kGatewayName:
      return "NAME";
    case ValueKind::kProfile:
      return choice_names(kProfiles);
    case ValueKind::kHost:
      return "HOST";
    case ValueKind::kAuthority:
      return "HOST[:PORT]";
    case ValueKind::kAlpn:
      return "ID";
    case ValueKind::kServe:
      return "AUTHORITY";
    case ValueKind::kHosts:
      return "HOST";
    case ValueKind::kUri:
      return "URI";
    case ValueKind::kUriTemplate:
      return "TEMPLATE";
    case ValueKind::kUriVariables:
      return "NAME=VALUE";
    case ValueKind::kProtocol:
      return "TOKEN";
    case ValueKind::kToken:
    case ValueKind::kTokens:
      return "NAME";
    case ValueKind::kHeaders:
      return "NAME:VALUE";
    case ValueKind::kHeaderFiles:
      return "NAME:FILE";
    case ValueKind::kIdentifier:
    case ValueKind::kIdentifiers:
      return "ID";
    case ValueKind::kClientAuth:
      return choice_names(kClientAuths);
    case ValueKind::kPath:
    case ValueKind::kPathPrefixes:
      return "PATH";
    case ValueKind::kPathOrOff:
      return "PATH|off";
    case ValueKind::kPins:
      return "PIN";
    case ValueKind::kStatuses:
      return "STATUS";
    case ValueKind::kTlsVersion:
      return choice_names(kTlsVersions);
    case ValueKind::kForwarded:
      return choice_names(kForwardedPolicies);
    case ValueKind::kLogLevel:
      return choice_names(kLogLevels);
    case ValueKind::kLogFormat:
      return choice_names(kLogFormats);
    case ValueKind::kProxyUrl:
      return "URL|off";
    case ValueKind::kGatewayUrl:
    case ValueKind::kOriginUrl:
      return "URL";
    case ValueKind::kListenAddress:
    case ValueKind::kAddress:
      return "ADDRESS";
    case ValueKind::kCapacity:
      return "N|auto";
    case ValueKind::kFieldName:
      return "NAME|off";
    case ValueKind::kRefusal:
      return choice_names(kRefusals);
    case ValueKind::kPatterns:
      return "PATTERN";
    case ValueKind::kFieldPatterns:
      return "NAME:PATTERN";
  }
  return {};
}

}  // namespace ptth
