#include "agent/relay/request_class.h"

#include "common/http_rules.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace ptth {

namespace {

constexpr size_t kRouteSegments = 2;
constexpr double kLatencySmoothing = 0.1;
// Before that a route may just have been unlucky.
constexpr uint32_t kSamplesToTrust = 5;

size_t route_of(const RequestHead& head) {
  const std::string_view path = without_query(head.path);
  size_t end = 0;
  for (size_t segment = 0; segment < kRouteSegments && end < path.size(); ++segment)
    end = std::min(path.find('/', end + 1), path.size());
  const std::hash<std::string_view> hash;
  return hash(path.substr(0, end)) * 31 + hash(head.method);
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view text) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches_pattern(pattern, text); });
}

bool has_field(const RequestHead& head, const ClassMatch::FieldPattern& wanted) {
  for (const Field field : head.fields) {
    if (field.name == wanted.name && matches_pattern(wanted.value, field.value)) return true;
  }
  return false;
}

}  // namespace

// The last * takes back what it gave too much; more is never needed.
bool matches_pattern(std::string_view pattern, std::string_view text) {
  size_t at = 0;
  size_t in_pattern = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  while (at < text.size()) {
    if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
      star = in_pattern++;
      star_text = at;
    } else if (in_pattern < pattern.size() && pattern[in_pattern] == text[at]) {
      ++in_pattern;
      ++at;
    } else if (star != std::string_view::npos) {
      in_pattern = star + 1;
      at = ++star_text;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', in_pattern) == std::string_view::npos;
}

void RouteLatencies::add(const RequestHead& head, uint64_t latency_us) {
  const size_t key = route_of(head);
  auto found = routes_.find(key);
  if (found == routes_.end()) {
    if (routes_.size() >= routes_max_) forget_one();
    found = routes_.emplace(key, Route{static_cast<double>(latency_us), 0, 0}).first;
  }
  Route& route = found->second;
  route.latency_us += (static_cast<double>(latency_us) - route.latency_us) * kLatencySmoothing;
  ++route.samples;
  route.last_used = ++uses_;
}

uint64_t RouteLatencies::latency_us(const RequestHead& head) const {
  const auto found = routes_.find(route_of(head));
  if (found == routes_.end() || found->second.samples < kSamplesToTrust) return 0;
  return static_cast<uint64_t>(found->second.latency_us);
}

void RouteLatencies::forget_one() {
  const auto oldest =
      std::min_element(routes_.begin(), routes_.end(), [](const auto& left, const auto& right) {
        return left.second.last_used < right.second.last_used;
      });
  if (oldest != routes_.end()) routes_.erase(oldest);
}

RequestClasses::RequestClasses(std::vector<RequestClass> classes, size_t routes_max)
    : classes_(std::move(classes)),
      learns_(
          std::any_of(classes_.begin(), classes_.end(),
                      [](const RequestClass& each) { return each.match.latency_min.count() > 0; })),
      routes_(routes_max) {}

size_t RequestClasses::class_of(const RequestHead& head) const {
  for (size_t index = 0; index < classes_.size(); ++index) {
    if (matches(classes_[index].match, head)) return index + 1;
  }
  return kNone;
}

bool RequestClasses::matches(const ClassMatch& match, const RequestHead& head) const {
  if (!matches_any(match.methods, head.method)) return false;
  if (!matches_any(match.paths, without_query(head.path))) return false;
  if (head.content_length < match.body_size_min) return false;
  for (const ClassMatch::FieldPattern& wanted : match.fields) {
    if (!has_field(head, wanted)) return false;
  }
  if (match.latency_min.count() == 0) return true;
  return routes_.latency_us(head) >= static_cast<uint64_t>(match.latency_min.count()) * 1000;
}

}  // namespace ptth
