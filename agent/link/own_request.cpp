#include "agent/link/own_request.h"

#include "common/authority.h"

#include <utility>

namespace ptth {

namespace {

constexpr uint16_t kHttpsPort = 443;

std::string host_of(std::string name) {
  // As requests write an IPv6 address.
  const bool bare_address = name.find(':') != std::string::npos && !name.starts_with('[');
  if (bare_address) name = '[' + name + ']';
  const Result<Authority> parsed = parse_authority(name);
  std::string host = parsed ? parsed.value().host : name;
  if (host.ends_with('.')) host.pop_back();
  return host;
}

}  // namespace

GatewayName::GatewayName(std::string host, uint16_t port)
    : host_(host_of(std::move(host))), port_(port) {}

bool GatewayName::is_authority(std::string_view authority) const {
  const Result<Authority> parsed = parse_authority(authority);
  if (!parsed) return false;
  std::string_view host = parsed.value().host;
  if (host.ends_with('.')) host.remove_suffix(1);
  const uint16_t port = parsed.value().port;
  const bool our_port = port == 0 || port == kHttpsPort || port == port_;
  return host == host_ && our_port;
}

bool was_forwarded(const FieldList& fields) {
  for (const Field field : fields) {
    // Our own entry is the last of the list.
    if (field.name == "via" && field.value.find(',') != std::string_view::npos) return true;
    if (field.name == "forwarded" || field.name == "x-forwarded-for") return true;
  }
  return false;
}

}  // namespace ptth
