#include "agent/nearest_match.h"

#include <algorithm>

namespace ptth {

namespace {

// Longer texts are no typing errors, and the cost is quadratic.
constexpr size_t kCompareLengthMax = 64;
constexpr size_t kPrefixLengthMin = 3;

// "warning" for "warn", "log" for "log-level".
bool one_begins_the_other(std::string_view one, std::string_view other) {
  const bool long_enough = std::min(one.size(), other.size()) >= kPrefixLengthMin;
  return long_enough && (one.starts_with(other) || other.starts_with(one));
}

}  // namespace

size_t edit_distance(std::string_view one, std::string_view other) {
  // Rows of the optimal string alignment table: before the last, last, current.
  std::vector<size_t> before(other.size() + 1);
  std::vector<size_t> last(other.size() + 1);
  std::vector<size_t> current(other.size() + 1);
  for (size_t j = 0; j <= other.size(); ++j)
    last[j] = j;
  for (size_t i = 1; i <= one.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= other.size(); ++j) {
      const size_t replaced = last[j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1);
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, replaced});
      const bool swapped =
          i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
      if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(current);
  }
  return last[other.size()];
}

std::string nearest_match(std::string_view typed, const std::vector<std::string>& candidates) {
  if (typed.empty() || typed.size() > kCompareLengthMax) return {};
  size_t best_distance = std::max<size_t>(1, typed.size() / 3) + 1;
  const std::string* best = nullptr;
  for (const std::string& candidate : candidates) {
    const size_t distance =
        one_begins_the_other(typed, candidate) ? 1 : edit_distance(typed, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = &candidate;
    }
  }
  return best == nullptr ? std::string() : *best;
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& candidates) {
  const std::string match = nearest_match(typed, candidates);
  return match.empty() ? std::string() : "; did you mean \"" + match + "\"?";
}

}  // namespace ptth
