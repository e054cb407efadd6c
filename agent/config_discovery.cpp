#include "agent/config_discovery.h"

#include "agent/config_address.h"
#include "agent/config_value.h"
#include "common/http_uri.h"

#include <array>
#include <utility>

namespace ptth {

namespace {

using Kind = DiscoveryOptions::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 3> kSchemes{
    {{"srv:", Kind::kSrv}, {"svcb:", Kind::kSvcb}, {"document:", Kind::kDocument}}};

// "_ptth._tcp." off the front; false: it is not there.
bool take_service(std::string_view& name) {
  for (int label = 0; label < 2; ++label) {
    const size_t dot = name.find('.');
    if (!name.starts_with('_') || dot == std::string_view::npos || dot < 2 || dot > 63)
      return false;
    name.remove_prefix(dot + 1);
  }
  return true;
}

Error wrong(std::string_view text, std::string_view what) {
  return configuration_error(in_quotes(text).append(": ").append(what));
}

Result<std::string> parse_srv(std::string_view text, std::string_view target) {
  std::string_view domain = target;
  const bool has_service = take_service(domain);
  const Result<HostPort> host = parse_host_port(domain);
  if (!has_service || !host || host.value().port != 0 || domain.size() > 200) {
    return wrong(text, "a service is srv:_service._tcp.domain, such as srv:_ptth._tcp.example.com");
  }
  return std::string(target.substr(0, target.size() - domain.size())) + host.value().host;
}

Result<std::string> parse_svcb(std::string_view text, std::string_view target) {
  const Result<HostPort> host = parse_host_port(target);
  const bool is_name =
      host && host.value().host.find_first_not_of("0123456789.:abcdef") != std::string::npos;
  if (!is_name || host.value().host.size() > 200) {
    return wrong(text, "a name is needed here: svcb:gw.example or svcb:gw.example:8443");
  }
  const uint16_t port = host.value().port;
  if (port == 0 || port == 443) return host.value().host;
  return show_host_port(host.value().host, port);
}

Result<std::string> parse_document(std::string_view text, std::string_view target) {
  const Result<HttpUri> uri = parse_http_uri(target);
  if (!uri) return wrong(text, uri.error().detail);
  if (uri.value().scheme != Scheme::kHttps) {
    return wrong(text, "who answers it decides where our credentials go: https:// is needed here");
  }
  return std::string(target);
}

}  // namespace

bool is_discovery(std::string_view text) {
  for (const auto& [scheme, kind] : kSchemes) {
    if (text.starts_with(scheme)) return true;
  }
  return false;
}

Result<void> parse_discovery(std::string_view text, DiscoveryOptions& options) {
  for (const auto& [scheme, kind] : kSchemes) {
    if (!text.starts_with(scheme)) continue;
    const std::string_view rest = text.substr(scheme.size());
    Result<std::string> target = kind == Kind::kSrv    ? parse_srv(text, rest)
                                 : kind == Kind::kSvcb ? parse_svcb(text, rest)
                                                       : parse_document(text, rest);
    if (!target) return target.error();
    options.kind = kind;
    options.target = std::move(target).value();
    return {};
  }
  return wrong(text, "srv:, svcb: or document: is needed at its front");
}

std::string show_discovery(const DiscoveryOptions& options) {
  for (const auto& [scheme, kind] : kSchemes) {
    if (options.kind == kind) return std::string(scheme) + options.target;
  }
  return {};
}

std::string discovery_host(const DiscoveryOptions& options) {
  std::string_view name = options.target;
  switch (options.kind) {
    case Kind::kNone:
      return {};
    case Kind::kSrv:
      take_service(name);
      return std::string(name);
    case Kind::kSvcb:
      return std::string(name.substr(0, name.find(':')));
    case Kind::kDocument:
      return parse_http_uri(name).value().authority.host;
  }
  return {};
}

}  // namespace ptth
