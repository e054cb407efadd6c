#include "agent/config_address.h"

#include "agent/config_value.h"
#include "common/address.h"
#include "common/authority.h"
#include "common/http_rules.h"

#include <algorithm>
#include <sys/un.h>
#include <utility>

namespace ptth {

namespace {

constexpr size_t kUnixPathMax = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::string_view kUnixScheme = "unix:";

// What names of hosts are made of, less than an authority may hold.
bool is_host_name(std::string_view host) {
  constexpr std::string_view kNameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
  return host.find_first_not_of(kNameBytes) == host.npos && !host.starts_with('.') &&
         host.find("..") == host.npos;
}

Error no_userinfo() {
  return configuration_error("a URL with a user name or password is refused; remove all before @");
}

// What is between the scheme and the path. Nothing may follow but "/".
Result<HostPort> parse_url_authority(std::string_view text, std::string_view rest) {
  const size_t end = rest.find_first_of("/?#");
  if (end != std::string_view::npos && rest.substr(end) != "/") {
    return configuration_error(in_quotes(text) +
                               ": only scheme, host and port belong here; remove " +
                               in_quotes(rest.substr(end)));
  }
  return parse_host_port(rest.substr(0, end));
}

Result<std::string> parse_unix_path(std::string_view path) {
  if (path.starts_with("//")) path.remove_prefix(2);  // unix:///run/app.sock
  if (!path.starts_with('/')) {
    return configuration_error(in_quotes(path) + ": a Unix socket is named by its whole path, " +
                               "for example unix:/run/app.sock");
  }
  if (path.size() > kUnixPathMax || path.find('\0') != std::string_view::npos) {
    return configuration_error(in_quotes(path) + ": the path of a Unix socket has at most " +
                               std::to_string(kUnixPathMax) + " bytes");
  }
  return std::string(path);
}

// "http" of "http://host"; empty if there is none.
std::string_view take_scheme(std::string_view& text) {
  const size_t end = text.find("://");
  if (end == std::string_view::npos) return {};
  const std::string_view scheme = text.substr(0, end);
  text.remove_prefix(end + 3);
  return scheme;
}

Error origin_scheme_error(std::string_view text, const std::string& scheme) {
  if (scheme == "https") {
    return configuration_error(in_quotes(text) +
                               ": https to the origin is not supported; let the application listen "
                               "for plain http on loopback or on a Unix socket");
  }
  return configuration_error(in_quotes(text) + ": an origin is http://host:port or unix:/path");
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  if (std::count(text.begin(), text.end(), ':') > 1 && !text.starts_with('[')) {
    return configuration_error(in_quotes(text) +
                               ": an IPv6 address stands in brackets, like [::1]");
  }
  const Result<Authority> authority = parse_authority(text);
  if (!authority) {
    std::string_view what = authority.error().detail;  // "authority: malformed port"
    what.remove_prefix(std::min(what.find(' ') + 1, what.size()));
    return configuration_error(in_quotes(text) +
                               " has no usable host and port: " + std::string(what));
  }
  HostPort out{authority.value().host, authority.value().port};
  if (out.host.starts_with('[')) {
    out.host = out.host.substr(1, out.host.size() - 2);
  } else if (!is_host_name(out.host)) {
    return configuration_error(in_quotes(text) + " is not a host name or an address");
  }
  return out;
}

std::string show_host_port(std::string_view host, uint16_t port) {
  std::string out(host);
  if (host.find(':') != std::string_view::npos) out = "[" + out + "]";
  return out + ":" + std::to_string(port);
}

Result<GatewayUrl> parse_gateway_url(std::string_view text) {
  if (text.find('@') != std::string_view::npos) return no_userinfo();
  std::string_view rest = text;
  const std::string scheme = to_lower_case(take_scheme(rest));
  if (scheme.empty()) {
    return configuration_error(in_quotes(text) + " has no scheme; write https://" +
                               std::string(text));
  }
  if (scheme != "https" && scheme != "http") {
    return configuration_error(in_quotes(text) +
                               ": a gateway is https://host or https://host:port");
  }
  const Result<HostPort> authority = parse_url_authority(text, rest);
  if (!authority) return authority.error();
  GatewayUrl url;
  url.tls = scheme == "https";
  url.host = authority.value().host;
  url.port = authority.value().port;
  if (url.port == 0) url.port = url.tls ? 443 : 80;
  return url;
}

std::string show_gateway_url(const GatewayUrl& url) {
  return (url.tls ? "https://" : "http://") + show_host_port(url.host, url.port);
}

Result<OriginUrl> parse_origin_url(std::string_view text) {
  OriginUrl url;
  if (text.starts_with(kUnixScheme)) {
    Result<std::string> path = parse_unix_path(text.substr(kUnixScheme.size()));
    if (!path) return path.error();
    url.unix_path = std::move(path).value();
    return url;
  }
  if (text.find('@') != std::string_view::npos) return no_userinfo();
  if (text.starts_with('/')) {
    return configuration_error(in_quotes(text) +
                               " looks like a path; write unix:" + std::string(text));
  }
  std::string_view rest = text;
  const std::string scheme = to_lower_case(take_scheme(rest));
  if (!scheme.empty() && scheme != "http") return origin_scheme_error(text, scheme);
  // A port alone is the application on this host, on whichever loopback it listens.
  const bool port_alone =
      scheme.empty() && !rest.empty() && rest.find_first_not_of("0123456789") == rest.npos;
  std::string completed;
  if (port_alone || rest.starts_with(':')) {
    completed = "localhost";
    if (port_alone) completed += ':';
    rest = completed.append(rest);
  }
  const Result<HostPort> authority = parse_url_authority(text, rest);
  if (!authority) return authority.error();
  if (scheme.empty() && authority.value().port == 0) {
    return configuration_error(in_quotes(text) + " has no port; write http://" + std::string(text) +
                               ":PORT");
  }
  url.host = authority.value().host;
  url.port = authority.value().port == 0 ? 80 : authority.value().port;
  return url;
}

std::string show_origin_url(const OriginUrl& url) {
  if (!url.unix_path.empty()) return std::string(kUnixScheme) + url.unix_path;
  return "http://" + show_host_port(url.host, url.port);
}

Result<std::string> parse_listen_address(std::string_view text) {
  if (text == "off") return std::string();
  if (text.starts_with(kUnixScheme)) {
    Result<std::string> path = parse_unix_path(text.substr(kUnixScheme.size()));
    if (!path) return path.error();
    return std::string(kUnixScheme) + path.value();
  }
  if (text.find("://") != std::string_view::npos) {
    return configuration_error(in_quotes(text) +
                               ": an address without a scheme, like 127.0.0.1:9600");
  }
  const size_t colon = text.rfind(':');
  const bool port_alone = colon == text.npos;
  // Unlike an address to dial, this one may leave the port to the kernel.
  const Result<uint64_t> port = parse_count(port_alone ? text : text.substr(colon + 1));
  if (!port || port.value() > UINT16_MAX) {
    return configuration_error(in_quotes(text) + " has no port; write it like 127.0.0.1:9600");
  }
  const std::string port_text = ":" + std::to_string(port.value());
  if (port_alone) return "127.0.0.1" + port_text;
  if (colon == 0) return port_text;
  const Result<HostPort> place = parse_host_port(text.substr(0, colon));
  if (!place) return place.error();
  const std::string host = place.value().host == "localhost" ? "127.0.0.1" : place.value().host;
  if (!Address::from_literal(host, 0)) {
    return configuration_error(in_quotes(text) + ": an address is needed here, not a name");
  }
  return show_host_port(host, static_cast<uint16_t>(port.value()));
}

}  // namespace ptth
