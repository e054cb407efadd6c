#include "agent/link/path_scope.h"

#include "common/http_rules.h"

#include <algorithm>
#include <array>

namespace ptth {

namespace {

struct Encoded {
  std::string_view lower;
  char byte;
};

// What matters to the shape of a path, when it is percent-encoded.
constexpr std::array<Encoded, 4> kShaping{
    {{"%2e", '.'}, {"%2f", '/'}, {"%5c", '\\'}, {"%25", '%'}}};

std::string decode_shape(std::string_view path) {
  std::string decoded;
  decoded.reserve(path.size());
  while (!path.empty()) {
    const auto* const found =
        std::find_if(kShaping.begin(), kShaping.end(), [&](const Encoded& of) {
          return path.size() >= 3 && equals_ignoring_case(path.substr(0, 3), of.lower);
        });
    const bool is_encoded = found != kShaping.end();
    decoded += is_encoded ? found->byte : path.front();
    path.remove_prefix(is_encoded ? 3 : 1);
  }
  return decoded;
}

// Some origins take a backslash for a slash, some cut a segment at a semicolon.
bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    const size_t end = path.find_first_of("/\\");
    std::string_view segment = path.substr(0, end);
    segment = segment.substr(0, segment.find(';'));
    if (segment == "." || segment == "..") return true;
    if (end == std::string_view::npos) break;
    path.remove_prefix(end + 1);
  }
  return false;
}

// Twice: what is encoded doubly is decoded doubly somewhere.
bool has_one_meaning(std::string_view path) {
  const std::string once = decode_shape(path);
  return !has_dot_segment(path) && !has_dot_segment(once) && !has_dot_segment(decode_shape(once));
}

}  // namespace

Result<std::string> parse_path_prefix(std::string_view text) {
  const bool is_path = text != "*" && is_request_path(text, "GET") &&
                       text.find_first_of("?%\\;") == std::string_view::npos &&
                       text.find("//") == std::string_view::npos && !has_dot_segment(text);
  if (is_path) return std::string(text);
  return Error{ErrorKind::kConfiguration, Side::kLocal,
               "a path is written like /shop or /shop/, without a query, dot segments, empty "
               "segments and any of % \\ ;"};
}

PathScope::PathScope(const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes)
    prefixes_.push_back(prefix.ends_with('/') ? prefix.substr(0, prefix.size() - 1) : prefix);
}

bool PathScope::holds(std::string_view path) const {
  if (prefixes_.empty()) return true;
  path = without_query(path);
  const bool begins =
      std::any_of(prefixes_.begin(), prefixes_.end(), [path](const std::string& prefix) {
        return path.starts_with(prefix) &&
               (path.size() == prefix.size() || path[prefix.size()] == '/');
      });
  return begins && has_one_meaning(path);
}

}  // namespace ptth
