#include "common/structured_fields.h"

#include "common/base64.h"
#include "common/http_rules.h"

#include <algorithm>
#include <optional>

namespace ptth::structured {

namespace {

bool is_lower(char byte) {
  return byte >= 'a' && byte <= 'z';
}

bool is_key_byte(char byte) {
  return is_lower(byte) || is_digit(byte) ||
         std::string_view("_-.*").find(byte) != std::string_view::npos;
}

bool is_printable(char byte) {
  return byte >= 0x20 && byte <= 0x7e;
}

Error wrong(const char* what) {
  return {ErrorKind::kProtocol, Side::kGateway, std::string("no structured field: ") + what};
}

// RFC 8941 section 4.2. Each parse_ takes what it reads off the front.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<Item> item() {
    skip_spaces();
    Result<Item> parsed = parse_item();
    if (parsed && !at_end()) return wrong("something follows the item");
    return parsed;
  }

  Result<Dictionary> dictionary() {
    Dictionary members;
    skip_spaces();
    while (!rest_.empty()) {
      if (members.size() >= kMembersMax) return wrong("too many members");
      Result<std::string> key = parse_key();
      if (!key) return key.error();
      Result<Member> member = parse_member();
      if (!member) return member.error();
      put(members, std::move(key).value(), std::move(member).value());
      skip_whitespace();
      if (rest_.empty()) break;
      if (!take(',')) return wrong("no comma between two members");
      skip_whitespace();
      if (rest_.empty()) return wrong("a comma at the end");
    }
    return members;
  }

 private:
  // The last one counts.
  template <class List, class Entry>
  static void put(List& list, std::string key, Entry entry) {
    const auto found =
        std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.first == key; });
    if (found != list.end()) {
      found->second = std::move(entry);
    } else {
      list.emplace_back(std::move(key), std::move(entry));
    }
  }

  bool take(char byte) {
    if (!rest_.starts_with(byte)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  template <class Predicate>
  std::string_view take_while(Predicate predicate) {
    const auto* const end = std::find_if_not(rest_.begin(), rest_.end(), predicate);
    const auto size = static_cast<size_t>(end - rest_.begin());
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  void skip_spaces() {
    take_while([](char byte) { return byte == ' '; });
  }

  void skip_whitespace() {
    take_while([](char byte) { return byte == ' ' || byte == '\t'; });
  }

  bool at_end() {
    skip_spaces();
    return rest_.empty();
  }

  Result<Member> parse_member() {
    if (!take('=')) {
      Result<Parameters> parameters = parse_parameters();
      if (!parameters) return parameters.error();
      return Member(Item{true, std::move(parameters).value()});
    }
    if (rest_.starts_with('(')) {
      Result<InnerList> list = parse_inner_list();
      if (!list) return list.error();
      return Member(std::move(list).value());
    }
    Result<Item> item = parse_item();
    if (!item) return item.error();
    return Member(std::move(item).value());
  }

  Result<InnerList> parse_inner_list() {
    InnerList list;
    rest_.remove_prefix(1);
    while (true) {
      skip_spaces();
      if (take(')')) break;
      if (list.items.size() >= kMembersMax) return wrong("too many items");
      Result<Item> item = parse_item();
      if (!item) return item.error();
      list.items.push_back(std::move(item).value());
      if (!rest_.starts_with(' ') && !rest_.starts_with(')')) return wrong("an open inner list");
    }
    Result<Parameters> parameters = parse_parameters();
    if (!parameters) return parameters.error();
    list.parameters = std::move(parameters).value();
    return list;
  }

  Result<Item> parse_item() {
    Result<Value> value = parse_value();
    if (!value) return value.error();
    Result<Parameters> parameters = parse_parameters();
    if (!parameters) return parameters.error();
    return Item{std::move(value).value(), std::move(parameters).value()};
  }

  Result<Parameters> parse_parameters() {
    Parameters parameters;
    while (take(';')) {
      if (parameters.size() >= kMembersMax) return wrong("too many parameters");
      skip_spaces();
      Result<std::string> key = parse_key();
      if (!key) return key.error();
      Value value = true;
      if (take('=')) {
        Result<Value> parsed = parse_value();
        if (!parsed) return parsed.error();
        value = std::move(parsed).value();
      }
      put(parameters, std::move(key).value(), std::move(value));
    }
    return parameters;
  }

  Result<std::string> parse_key() {
    if (rest_.empty() || (!is_lower(rest_.front()) && rest_.front() != '*')) return wrong("no key");
    return std::string(take_while(is_key_byte));
  }

  Result<Value> parse_value() {
    if (rest_.empty()) return wrong("it ends too early");
    const char first = rest_.front();
    if (first == '"') return parse_string();
    if (first == ':') return parse_bytes();
    if (first == '?') return parse_boolean();
    if (first == '-' || is_digit(first)) return parse_number();
    const char lower = ascii_lower(first);
    if (is_lower(lower) || first == '*') return parse_token();
    return wrong("an item that begins like none");
  }

  Result<Value> parse_string() {
    rest_.remove_prefix(1);
    std::string text;
    while (!rest_.empty()) {
      const char byte = rest_.front();
      rest_.remove_prefix(1);
      if (byte == '"') return Value(std::move(text));
      if (byte == '\\') {
        if (!rest_.starts_with('"') && !rest_.starts_with('\\')) return wrong("a bad escape");
        text += rest_.front();
        rest_.remove_prefix(1);
        continue;
      }
      if (!is_printable(byte)) return wrong("a byte that no string has");
      text += byte;
    }
    return wrong("a string without its end");
  }

  Result<Value> parse_bytes() {
    rest_.remove_prefix(1);
    const size_t end = rest_.find(':');
    if (end == std::string_view::npos) return wrong("a byte sequence without its end");
    std::optional<std::string> bytes = decode_base64(rest_.substr(0, end));
    if (!bytes) return wrong("a byte sequence that is not in base64");
    rest_.remove_prefix(end + 1);
    return Value(ByteSequence{*std::move(bytes)});
  }

  Result<Value> parse_boolean() {
    rest_.remove_prefix(1);
    if (take('1')) return Value(true);
    if (take('0')) return Value(false);
    return wrong("a boolean that is neither ?0 nor ?1");
  }

  // 15 digits, or 12 and up to 3 behind the point.
  Result<Value> parse_number() {
    const int64_t sign = take('-') ? -1 : 1;
    const std::string_view whole = take_while(is_digit);
    const bool is_decimal = take('.');
    const std::string_view places = is_decimal ? take_while(is_digit) : std::string_view();
    const bool fits = is_decimal ? whole.size() <= 12 && !places.empty() && places.size() <= 3
                                 : whole.size() <= 15;
    if (whole.empty() || !fits) return wrong("a number that is none, or is too long");
    int64_t number = 0;
    for (const char digit : whole)
      number = number * 10 + (digit - '0');
    if (!is_decimal) return Value(sign * number);
    for (size_t place = 0; place < 3; ++place)
      number = number * 10 + (place < places.size() ? places[place] - '0' : 0);
    return Value(Decimal{sign * number});
  }

  Result<Value> parse_token() {
    const auto is_token_byte = [](char byte) {
      return lower_token_byte(byte) != 0 || byte == ':' || byte == '/';
    };
    return Value(Token{std::string(take_while(is_token_byte))});
  }

  std::string_view rest_;
};

struct Writer {
  std::string& out;

  void operator()(bool value) const { out += value ? "?1" : "?0"; }

  void operator()(int64_t value) const { out += std::to_string(value); }

  void operator()(const Decimal& value) const {
    const uint64_t size = value.thousandths < 0 ? 0 - static_cast<uint64_t>(value.thousandths)
                                                : static_cast<uint64_t>(value.thousandths);
    if (value.thousandths < 0) out += '-';
    out += std::to_string(size / 1000) + '.';
    // Without trailing zeros, but for one digit.
    std::string places = std::to_string(1000 + size % 1000).substr(1);
    while (places.size() > 1 && places.back() == '0')
      places.pop_back();
    out += places;
  }

  void operator()(const std::string& value) const {
    out += '"';
    for (const char byte : value) {
      CHECK_INVARIANT(is_printable(byte));
      if (byte == '"' || byte == '\\') out += '\\';
      out += byte;
    }
    out += '"';
  }

  void operator()(const Token& value) const { out += value.text; }

  void operator()(const ByteSequence& value) const {
    out += ':';
    append_base64(out, value.bytes);
    out += ':';
  }

  void parameters(const Parameters& all) const {
    for (const auto& [key, value] : all) {
      out += ';' + key;
      const bool* flag = std::get_if<bool>(&value);
      if (flag != nullptr && *flag) continue;
      out += '=';
      std::visit(*this, value);
    }
  }

  void operator()(const Item& item) const {
    std::visit(*this, item.value);
    parameters(item.parameters);
  }

  void operator()(const InnerList& list) const {
    out += '(';
    for (const Item& item : list.items) {
      if (&item != list.items.data()) out += ' ';
      (*this)(item);
    }
    out += ')';
    parameters(list.parameters);
  }
};

template <class Entries>
auto find_entry(const Entries& entries, std::string_view name) -> decltype(&entries[0].second) {
  for (const auto& [key, value] : entries) {
    if (key == name) return &value;
  }
  return nullptr;
}

}  // namespace

Result<Item> parse_item(std::string_view text) {
  return Parser(text).item();
}

Result<Dictionary> parse_dictionary(std::string_view text) {
  return Parser(text).dictionary();
}

std::string to_string(const Item& item) {
  std::string out;
  Writer{out}(item);
  return out;
}

std::string to_string(const InnerList& list) {
  std::string out;
  Writer{out}(list);
  return out;
}

std::string to_string(const Dictionary& dictionary) {
  std::string out;
  const Writer writer{out};
  for (const auto& [key, member] : dictionary) {
    if (!out.empty()) out += ", ";
    out += key;
    const Item* item = std::get_if<Item>(&member);
    const bool* flag = item == nullptr ? nullptr : std::get_if<bool>(&item->value);
    if (flag != nullptr && *flag) {
      writer.parameters(item->parameters);
      continue;
    }
    out += '=';
    std::visit(writer, member);
  }
  return out;
}

const Value* find(const Parameters& parameters, std::string_view name) {
  return find_entry(parameters, name);
}

const Member* find(const Dictionary& dictionary, std::string_view name) {
  return find_entry(dictionary, name);
}

}  // namespace ptth::structured
