#pragma once

// "Did you mean ...?" for names that people type.

#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
[[nodiscard]] size_t edit_distance(std::string_view one, std::string_view other);

// The candidate nearest to what was typed; empty when none is near enough to be meant.
[[nodiscard]] std::string nearest_match(std::string_view typed,
                                        const std::vector<std::string>& candidates);

// `; did you mean "x"?`, or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view typed,
                                       const std::vector<std::string>& candidates);

}  // namespace ptth
