#include "common/retry_after.h"

#include "common/http_rules.h"

#include <algorithm>
#include <cstdint>

namespace ptth {

std::chrono::milliseconds retry_after(const FieldList& fields, HttpTime now) {
  using std::chrono::milliseconds;
  // More than any limit of ours, and far from overflow.
  constexpr uint64_t kSecondsMax = UINT64_C(1) << 40;
  const auto value = fields.find("retry-after");
  if (!value) return milliseconds(0);
  const bool is_delay = !value->empty() && value->find_first_not_of("0123456789") == value->npos;
  if (is_delay) {
    const uint64_t seconds = parse_content_length(*value).value_or(kSecondsMax);
    return std::chrono::seconds(std::min(seconds, kSecondsMax));
  }
  const auto until = parse_http_date(*value);
  if (!until) return milliseconds(0);
  // By the other side's own clock if it tells it: ours may be wrong.
  const auto date = fields.find("date");
  const HttpTime from = (date ? parse_http_date(*date) : std::nullopt).value_or(now);
  return std::max<milliseconds>(*until - from, milliseconds(0));
}

}  // namespace ptth
