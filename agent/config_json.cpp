#include "agent/config_json.h"

#include <cstdint>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

namespace ptth {

namespace {

// Reads the text and counts its lines on the way: the parser's events carry no position.
class LineCounter {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  LineCounter(const char* position, size_t& line) : position_(position), line_(&line) {}

  const char& operator*() const { return *position_; }

  LineCounter& operator++() {
    if (*position_ == '\n') ++*line_;
    ++position_;
    return *this;
  }

  bool operator==(const LineCounter& other) const { return position_ == other.position_; }

 private:
  const char* position_;
  size_t* line_;
};

// Receives the parser's events and builds the tree.
class TreeBuilder {
 public:
  TreeBuilder(JsonDocument& document, const size_t& line) : document_(document), line_(line) {}

  bool null() { return add(JsonValue::Kind::kNull, {}); }

  bool boolean(bool value) { return add(JsonValue::Kind::kSwitch, value ? "true" : "false"); }

  bool number_integer(int64_t value) {
    return add(JsonValue::Kind::kNumber, std::to_string(value));
  }

  bool number_unsigned(uint64_t value) {
    return add(JsonValue::Kind::kNumber, std::to_string(value));
  }

  bool number_float(double /*value*/, const std::string& written) {
    return add(JsonValue::Kind::kNumber, written);
  }

  bool string(std::string& value) { return add(JsonValue::Kind::kText, std::move(value)); }

  bool binary(nlohmann::json::binary_t& /*value*/) { return fail("binary data", line_); }

  bool start_object(size_t /*unknown*/) { return open(JsonValue::Kind::kObject); }

  bool end_object() { return close(); }

  bool start_array(size_t /*unknown*/) { return open(JsonValue::Kind::kArray); }

  bool end_array() { return close(); }

  bool key(std::string& name) {
    for (const JsonValue& sibling : open_.back()->children) {
      if (sibling.key != name) continue;
      return fail("\"" + name + "\" is there twice, first on line " + std::to_string(sibling.line),
                  line_);
    }
    key_ = std::move(name);
    key_line_ = line_;
    return true;
  }

  bool parse_error(size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: what": only what counts.
    const std::string_view text = error.what();
    const size_t start = text.find(": ");
    std::string what(start == std::string_view::npos ? text : text.substr(start + 2));
    return fail("not JSON: " + what, line_);
  }

 private:
  bool fail(std::string what, size_t line) {
    document_.error = std::move(what);
    document_.error_line = line;
    return false;
  }

  JsonValue& append(JsonValue::Kind kind) {
    const bool is_member = !open_.empty() && open_.back()->kind == JsonValue::Kind::kObject;
    JsonValue& value = open_.empty() ? document_.root : open_.back()->children.emplace_back();
    value.kind = kind;
    value.line = is_member ? key_line_ : line_;
    if (is_member) value.key = std::move(key_);
    return value;
  }

  bool add(JsonValue::Kind kind, std::string text) {
    append(kind).text = std::move(text);
    return true;
  }

  bool open(JsonValue::Kind kind) {
    if (open_.size() == kJsonDepthMax) {
      return fail("nested deeper than " + std::to_string(kJsonDepthMax), line_);
    }
    // The parent's children do not move while this one is open: only the innermost grows.
    open_.push_back(&append(kind));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  JsonDocument& document_;
  const size_t& line_;
  std::vector<JsonValue*> open_;
  std::string key_;
  size_t key_line_ = 0;
};

}  // namespace

JsonDocument parse_json(std::string_view text) {
  JsonDocument document;
  size_t line = 1;
  if (text.size() > kJsonBytesMax) {
    document.error = "larger than " + std::to_string(kJsonBytesMax / 1024) + "KiB";
    return document;
  }
  // The parser's own words for this differ from version to version.
  if (text.empty()) {
    document.error = "not JSON: nothing in it";
    return document;
  }
  // The parser takes a zero byte for the end of its input.
  if (text.find('\0') != std::string_view::npos) {
    document.error = "not JSON: a zero byte in it";
    return document;
  }
  TreeBuilder builder(document, line);
  const bool complete = nlohmann::json::sax_parse(
      LineCounter(text.data(), line), LineCounter(text.data() + text.size(), line), &builder,
      nlohmann::json::input_format_t::json, /*strict=*/true, /*ignore_comments=*/true);
  if (!complete && document.error.empty()) document.error = "not JSON";
  return document;
}

}  // namespace ptth
