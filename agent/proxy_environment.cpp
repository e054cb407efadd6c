#include "agent/proxy_environment.h"

#include "agent/config_address.h"
#include "agent/config_value.h"
#include "common/address.h"
#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <initializer_list>
#include <netinet/in.h>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

constexpr uint16_t kHttpProxyPort = 1080;  // As curl.
constexpr uint16_t kHttpsProxyPort = 443;

using Variables = std::map<std::string, std::string>;

const Variables::value_type* first_set(const Variables& variables,
                                       std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = variables.find(name);
    if (found != variables.end()) return &*found;
  }
  return nullptr;
}

std::span<const uint8_t> bytes_of(const Address& address) {
  const auto* raw = reinterpret_cast<const uint8_t*>(&address.raw());
  if (address.family() == AF_INET) return {raw + offsetof(sockaddr_in, sin_addr), 4};
  return {raw + offsetof(sockaddr_in6, sin6_addr), 16};
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto address = Address::from_literal(host, 0);
  if (!address) return false;
  const auto bytes = bytes_of(*address);
  if (bytes.size() == 4) return bytes[0] == 127;
  return std::all_of(bytes.begin(), bytes.end() - 1, [](uint8_t byte) { return byte == 0; }) &&
         bytes.back() == 1;
}

bool same_bits(std::span<const uint8_t> one, std::span<const uint8_t> other, size_t bits) {
  const size_t whole = bits / 8;
  if (!std::equal(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(whole), other.begin())) {
    return false;
  }
  if (bits % 8 == 0) return true;
  const auto shift = static_cast<unsigned>(8 - bits % 8);
  return one[whole] >> shift == other[whole] >> shift;
}

// "10.0.0.0/8"
bool is_in_network(std::string_view network, const std::string& host) {
  const size_t slash = network.find('/');
  const auto base = Address::from_literal(std::string(network.substr(0, slash)), 0);
  const auto address = Address::from_literal(host, 0);
  if (!base || !address || base->family() != address->family()) return false;
  const std::string_view size_text = network.substr(slash + 1);
  size_t bits = 0;
  const auto [end, failed] =
      std::from_chars(size_text.data(), size_text.data() + size_text.size(), bits);
  const bool is_number = failed == std::errc() && end == size_text.data() + size_text.size();
  return is_number && bits <= bytes_of(*base).size() * 8 &&
         same_bits(bytes_of(*base), bytes_of(*address), bits);
}

bool is_excepted_by(std::string_view entry, const std::string& host, uint16_t port) {
  if (entry == "*") return true;
  if (entry.find('/') != std::string_view::npos) return is_in_network(entry, host);
  if (const auto address = Address::from_literal(std::string(entry), 0)) {
    const auto own = Address::from_literal(host, 0);
    return own && own->family() == address->family() &&
           std::ranges::equal(bytes_of(*own), bytes_of(*address));
  }
  if (entry.starts_with("*.")) entry.remove_prefix(1);
  const bool only_below = entry.starts_with('.');
  const Result<HostPort> parsed = parse_host_port(only_below ? entry.substr(1) : entry);
  if (!parsed) return false;
  const auto& [name, only_port] = parsed.value();
  if (only_port != 0 && only_port != port) return false;
  return host == name || host.ends_with("." + name);
}

bool is_excepted(const Variables& variables, const std::string& host, uint16_t port) {
  const auto* list = first_set(variables, {"no_proxy", "NO_PROXY"});
  if (list == nullptr) return false;
  std::string_view rest = list->second;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of(", \t"), rest.size());
    const std::string entry = to_lower_case(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!entry.empty() && is_excepted_by(entry, host, port)) return true;
  }
  return false;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    if (at + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[at + 1]);
    const int low = hex_value(text[at + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    at += 2;
  }
  return out;
}

}  // namespace

Result<ProxyOptions> parse_proxy_url(std::string_view text) {
  ProxyOptions proxy;
  proxy.mode = ProxyOptions::Mode::kGiven;
  std::string_view rest = text;
  std::string scheme = "http";
  if (const size_t end = rest.find("://"); end != std::string_view::npos) {
    scheme = to_lower_case(rest.substr(0, end));
    rest.remove_prefix(end + 3);
  }
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    auto pair = percent_decoded(rest.substr(0, at));
    if (!pair) return configuration_error("user and password before @ are not percent-encoded");
    if (pair->find(':') == std::string::npos) *pair += ':';
    proxy.credentials = Secret(std::move(*pair));
    rest.remove_prefix(at + 1);
  }
  if (scheme != "http" && scheme != "https") {
    return configuration_error("a proxy is http://host:port or https://host:port, not " +
                               in_quotes(scheme));
  }
  proxy.tls = scheme == "https";
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const Result<HostPort> place = parse_host_port(rest);
  if (!place) return place.error();
  proxy.host = place.value().host;
  proxy.port = place.value().port;
  if (proxy.port == 0) proxy.port = proxy.tls ? kHttpsProxyPort : kHttpProxyPort;
  return proxy;
}

Result<ProxyOptions> proxy_from_environment(const Variables& environment, const std::string& host,
                                            uint16_t port, bool tls) {
  ProxyOptions none;
  none.mode = ProxyOptions::Mode::kNone;
  // HTTP_PROXY in capitals is left out: in a CGI program a request's Proxy field sets it.
  const auto* variable =
      tls ? first_set(environment, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
          : first_set(environment, {"http_proxy", "all_proxy", "ALL_PROXY"});
  if (variable == nullptr || variable->second.empty()) return none;
  if (is_loopback(host) || is_excepted(environment, host, port)) return none;
  auto proxy = parse_proxy_url(variable->second);
  if (!proxy) return configuration_error(variable->first + ": " + proxy.error().detail);
  return proxy;
}

}  // namespace ptth
