// Field values: whatever is read as an item or a dictionary is written in one way, and read again
// as the same. A list of components makes a signature base with a line for each, or none.

#include "common/check.h"
#include "common/message_signature.h"
#include "common/structured_fields.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace structured = ptth::structured;

namespace {

void check_item(std::string_view text) {
  const auto item = structured::parse_item(text);
  if (!item) return;
  const std::string written = to_string(item.value());
  const auto again = structured::parse_item(written);
  CHECK_INVARIANT(again.ok() && again.value() == item.value());
  CHECK_INVARIANT(to_string(again.value()) == written);
}

void check_base(const structured::InnerList& list) {
  const auto base = ptth::signature_base(list, [](std::string_view name, ptth::ComponentOf) {
    return std::optional<std::string>(name);
  });
  if (!base) return;
  const auto lines = std::count(base.value().begin(), base.value().end(), '\n');
  CHECK_INVARIANT(static_cast<size_t>(lines) == list.items.size());
}

void check_dictionary(std::string_view text) {
  const auto dictionary = structured::parse_dictionary(text);
  if (!dictionary) return;
  CHECK_INVARIANT(dictionary.value().size() <= structured::kMembersMax);
  const std::string written = to_string(dictionary.value());
  const auto again = structured::parse_dictionary(written);
  CHECK_INVARIANT(again.ok() && again.value() == dictionary.value());
  for (const auto& [key, member] : dictionary.value()) {
    CHECK_INVARIANT(find(dictionary.value(), key) == &member);
    const auto* list = std::get_if<structured::InnerList>(&member);
    if (list != nullptr) check_base(*list);
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_item(text);
  check_dictionary(text);
  return 0;
}
