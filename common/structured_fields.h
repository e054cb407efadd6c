#pragma once

// Structured fields of HTTP (RFC 8941): items, inner lists and dictionaries, parsed strictly and
// written in the one way that the RFC knows. No lists, dates or display strings: no field that we
// read has any.

#include "common/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ptth::structured {

struct Token {
  std::string text;

  bool operator==(const Token&) const = default;
};

struct ByteSequence {
  std::string bytes;

  bool operator==(const ByteSequence&) const = default;
};

// Decimals have three places at most.
struct Decimal {
  int64_t thousandths = 0;

  bool operator==(const Decimal&) const = default;
};

using Value = std::variant<bool, int64_t, Decimal, std::string, Token, ByteSequence>;
// In their order, each key once.
using Parameters = std::vector<std::pair<std::string, Value>>;

struct Item {
  Value value;
  Parameters parameters = {};

  bool operator==(const Item&) const = default;
};

struct InnerList {
  std::vector<Item> items;
  Parameters parameters = {};

  bool operator==(const InnerList&) const = default;
};

using Member = std::variant<Item, InnerList>;
// In their order, each key once.
using Dictionary = std::vector<std::pair<std::string, Member>>;

// Members of a dictionary, items of an inner list, parameters of one item.
inline constexpr size_t kMembersMax = 64;

// A whole field value. kProtocol: it is none, or is over kMembersMax. Byte sequences must be in
// canonical base64.
[[nodiscard]] Result<Item> parse_item(std::string_view text);
[[nodiscard]] Result<Dictionary> parse_dictionary(std::string_view text);

// Strings hold 0x20 to 0x7e, numbers 15 digits.
[[nodiscard]] std::string to_string(const Item& item);
[[nodiscard]] std::string to_string(const InnerList& list);
[[nodiscard]] std::string to_string(const Dictionary& dictionary);

// Null if there is none.
[[nodiscard]] const Value* find(const Parameters& parameters, std::string_view name);
[[nodiscard]] const Member* find(const Dictionary& dictionary, std::string_view name);

}  // namespace ptth::structured
