#pragma once

// A JSON document with comments (RFC 8259 plus // and /* */) as a tree that remembers its lines.
// Stricter than the format: no key twice in one object, bounded size and depth.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

struct JsonValue {
  enum class Kind { kNull, kSwitch, kNumber, kText, kArray, kObject };

  Kind kind = Kind::kNull;
  std::string key;                  // As a member of an object.
  std::string text;                 // kSwitch: true or false; kNumber: as written; kText.
  std::vector<JsonValue> children;  // kArray and kObject, in their order.
  size_t line = 0;                  // Of its key, or of itself.
};

struct JsonDocument {
  JsonValue root;
  std::string error;  // Empty: root is complete.
  size_t error_line = 0;
};

constexpr size_t kJsonBytesMax = size_t{1024} * 1024;
constexpr size_t kJsonDepthMax = 16;

[[nodiscard]] JsonDocument parse_json(std::string_view text);

}  // namespace ptth
