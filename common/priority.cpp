#include "common/priority.h"

#include "common/structured_fields.h"

#include <string>
#include <variant>

namespace ptth {

namespace {

// Null: there is no such member, or it is of another type.
template <class Type>
const Type* bare_item(const structured::Dictionary& members, std::string_view name) {
  const structured::Member* const member = structured::find(members, name);
  const auto* const item = member == nullptr ? nullptr : std::get_if<structured::Item>(member);
  return item == nullptr ? nullptr : std::get_if<Type>(&item->value);
}

}  // namespace

std::optional<Priority> parse_priority(std::string_view value) {
  const Result<structured::Dictionary> members = structured::parse_dictionary(value);
  if (!members) return std::nullopt;
  Priority priority;
  // A member of the wrong type or out of range counts as absent (RFC 9218 section 4).
  if (const auto* urgency = bare_item<int64_t>(members.value(), "u")) {
    const bool in_range = *urgency >= 0 && *urgency < Priority::kUrgencies;
    if (in_range) priority.urgency = static_cast<uint8_t>(*urgency);
  }
  if (const auto* incremental = bare_item<bool>(members.value(), "i")) {
    priority.incremental = *incremental;
  }
  return priority;
}

Priority priority_of(const FieldList& fields) {
  std::string_view single;
  std::string combined;
  size_t count = 0;
  for (const Field field : fields) {
    if (field.name != "priority") continue;
    // Several lines are one value (RFC 9110 section 5.3).
    if (++count == 1) {
      single = field.value;
      continue;
    }
    if (count == 2) combined = single;
    combined.append(", ").append(field.value);
  }
  if (count == 0) return {};
  return parse_priority(count == 1 ? single : combined).value_or(Priority());
}

}  // namespace ptth
