#include "common/http_uri.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

Error bad_uri(std::string_view what) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::string(what), false};
}

}  // namespace

uint16_t HttpUri::port() const {
  return authority.port == 0 ? default_port(scheme) : authority.port;
}

Result<HttpUri> parse_http_uri(std::string_view text) {
  constexpr std::string_view kSeparator = "://";
  const bool is_visible =
      std::all_of(text.begin(), text.end(), [](char byte) { return byte >= 0x21 && byte <= 0x7e; });
  if (!is_visible) return bad_uri("a URI is made of visible ASCII characters only");
  const size_t separator = text.find(kSeparator);
  const auto scheme =
      separator == std::string_view::npos ? std::nullopt : parse_scheme(text.substr(0, separator));
  if (!scheme) return bad_uri("a URI begins with https:// (or http://) here");
  if (text.find('#') != std::string_view::npos) return bad_uri("a fragment is never sent");
  text.remove_prefix(separator + kSeparator.size());
  const size_t authority_size = std::min(text.find_first_of("/?"), text.size());
  Result<Authority> authority = parse_authority(text.substr(0, authority_size));
  if (!authority) return bad_uri(authority.error().detail);
  HttpUri uri{*scheme, std::move(authority).value(), {}};
  text.remove_prefix(authority_size);
  if (!text.starts_with('/')) uri.target = '/';
  uri.target += text;
  return uri;
}

std::string to_string(const HttpUri& uri) {
  return std::string(to_string(uri.scheme)) + "://" + to_string(uri.authority) + uri.target;
}

}  // namespace ptth
