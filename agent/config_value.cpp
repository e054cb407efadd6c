#include "agent/config_value.h"

#include "agent/nearest_match.h"
#include "common/ascii.h"
#include "common/utf8.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

namespace ptth {

namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// From the largest to the smallest.
constexpr std::array<Unit, 4> kTimeUnits{{{"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 4> kSizeUnits{
    {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}};

// They keep the arithmetic in range: 10^12 * 1000 fits, and what it is multiplied with is checked.
constexpr size_t kDigitsMax = 12;
constexpr size_t kFractionDigitsMax = 3;
constexpr uint64_t kDurationMsMax = UINT32_MAX;  // 49 days.
constexpr size_t kEchoMax = 80;
constexpr size_t kAlpnIdMax = 255;  // RFC 7301: one length byte.

std::string_view take_digits(std::string_view& text) {
  size_t count = 0;
  while (count < text.size() && is_digit(text[count]))
    ++count;
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

uint64_t to_number(std::string_view digits) {
  uint64_t number = 0;
  for (const char digit : digits)
    number = number * 10 + static_cast<uint64_t>(digit - '0');
  return number;
}

std::string unit_names(std::span<const Unit> units) {
  std::string names;
  for (const Unit& unit : units) {
    if (!names.empty()) names += ", ";
    names += unit.name;
  }
  return names;
}

Error unknown_unit(std::string_view whole, std::string_view unit, std::span<const Unit> units) {
  std::vector<std::string> names;
  for (const Unit& known : units)
    names.emplace_back(known.name);
  return configuration_error(in_quotes(whole) + ": unknown unit " + in_quotes(unit) +
                             ", known are " + unit_names(units) + did_you_mean(unit, names));
}

// Takes one number and its unit off the front of text.
Result<uint64_t> take_quantity(std::string_view whole, std::string_view& text,
                               std::span<const Unit> units) {
  const std::string_view digits = take_digits(text);
  std::string_view fraction;
  if (!digits.empty() && text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
    if (fraction.empty())
      return configuration_error(in_quotes(whole) + ": digits must follow the dot");
  }
  if (digits.empty()) {
    return configuration_error(in_quotes(whole) + " is not a number with a unit (" +
                               unit_names(units) + ")");
  }
  if (digits.size() > kDigitsMax || fraction.size() > kFractionDigitsMax) {
    return configuration_error(in_quotes(whole) + " has too many digits");
  }
  size_t unit_end = 0;
  while (unit_end < text.size() && !is_digit(text[unit_end]))
    ++unit_end;
  const std::string_view unit = text.substr(0, unit_end);
  text.remove_prefix(unit_end);
  const Unit* known = nullptr;
  for (const Unit& candidate : units) {
    if (candidate.name == unit) known = &candidate;
  }
  if (known == nullptr) return unknown_unit(whole, unit, units);
  uint64_t thousandths = to_number(digits) * 1000;
  uint64_t place = 100;
  for (const char digit : fraction) {
    thousandths += static_cast<uint64_t>(digit - '0') * place;
    place /= 10;
  }
  if (thousandths > UINT64_MAX / known->factor) {
    return configuration_error(in_quotes(whole) + " is too large");
  }
  if (thousandths * known->factor % 1000 != 0) {
    return configuration_error(in_quotes(whole) + " is not a whole number of " +
                               std::string(units.back().name));
  }
  return thousandths * known->factor / 1000;
}

// A bare number is the commonest mistake: say what it would be with each unit.
std::optional<Error> missing_unit(std::string_view text, std::span<const Unit> units) {
  const bool bare = !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
  if (!bare || text == "0") return std::nullopt;
  std::string hint;
  for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
    if (!hint.empty()) hint += " or ";
    hint.append(text).append(unit->name);
  }
  return configuration_error(in_quotes(text) + " has no unit; write " + hint);
}

std::string show_quantity(uint64_t amount, std::span<const Unit> units) {
  if (amount == 0) return "0";
  for (const Unit& unit : units) {
    if (amount % unit.factor == 0) {
      return std::to_string(amount / unit.factor) + std::string(unit.name);
    }
  }
  return std::to_string(amount);
}

constexpr std::string_view kHexDigits = "0123456789abcdef";

bool is_printable(char c) {
  return c > ' ' && c <= '~';
}

}  // namespace

Error configuration_error(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail)};
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  out += text.substr(0, kEchoMax);
  if (text.size() > kEchoMax) out += "...";
  return out + "\"";
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    const bool control = character.code < 0x20 || (character.code >= 0x7f && character.code < 0xa0);
    if (character.size != 0 && !control) {
      out += text.substr(0, character.size);
      text.remove_prefix(character.size);
      continue;
    }
    const auto byte = static_cast<unsigned char>(text.front());
    out += "\\x";
    out += kHexDigits[byte >> 4U];
    out += kHexDigits[byte & 15U];
    text.remove_prefix(1);
  }
  return out;
}

Result<Milliseconds> parse_duration(std::string_view text) {
  if (auto error = missing_unit(text, kTimeUnits)) return *error;
  if (text == "0") return Milliseconds(0);
  std::string_view rest = text;
  uint64_t total_ms = 0;
  do {
    const Result<uint64_t> part = take_quantity(text, rest, kTimeUnits);
    if (!part) return part.error();
    total_ms += part.value();
    if (part.value() > kDurationMsMax || total_ms > kDurationMsMax) {
      return configuration_error(in_quotes(text) + " is longer than 49 days");
    }
  } while (!rest.empty());
  return Milliseconds(total_ms);
}

std::string show_duration(Milliseconds duration) {
  return show_quantity(static_cast<uint64_t>(duration.count()), kTimeUnits);
}

Result<uint64_t> parse_size(std::string_view text) {
  if (auto error = missing_unit(text, kSizeUnits)) return *error;
  if (text == "0") return uint64_t{0};
  std::string_view rest = text;
  Result<uint64_t> size = take_quantity(text, rest, kSizeUnits);
  if (size && !rest.empty()) {
    return configuration_error(in_quotes(text) + " is more than one number with a unit");
  }
  return size;
}

std::string show_size(uint64_t bytes) {
  return show_quantity(bytes, kSizeUnits);
}

Result<uint64_t> parse_count(std::string_view text) {
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
  if (!digits) return configuration_error(in_quotes(text) + " is not a whole number");
  if (text.size() > kDigitsMax)
    return configuration_error(in_quotes(text) + " has too many digits");
  return to_number(text);
}

Result<Rate> parse_rate(std::string_view text) {
  const size_t plus = text.find('+');
  if (plus == std::string_view::npos || !text.ends_with("/s")) {
    return configuration_error(in_quotes(text) +
                               " is not a rate; write 200+50/s for 200 at once and 50 per second");
  }
  const Result<uint64_t> burst = parse_count(text.substr(0, plus));
  if (!burst) return burst.error();
  const Result<uint64_t> per_second = parse_count(text.substr(plus + 1, text.size() - plus - 3));
  if (!per_second) return per_second.error();
  if (burst.value() == 0) return configuration_error(in_quotes(text) + " would allow none at all");
  return Rate{static_cast<double>(burst.value()), static_cast<double>(per_second.value())};
}

std::string show_rate(const Rate& rate) {
  return std::to_string(static_cast<uint64_t>(rate.burst)) + "+" +
         std::to_string(static_cast<uint64_t>(rate.per_second)) + "/s";
}

Result<bool> parse_switch(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return configuration_error(in_quotes(text) + " is not true or false");
}

Result<std::string> parse_alpn_id(std::string_view text) {
  constexpr std::string_view kHexPrefix = "hex:";
  std::string bytes;
  if (text.starts_with(kHexPrefix)) {
    const std::string_view digits = text.substr(kHexPrefix.size());
    if (digits.size() % 2 != 0) {
      return configuration_error(in_quotes(text) + " has an odd number of hex digits");
    }
    for (size_t i = 0; i < digits.size(); i += 2) {
      const int high = hex_value(digits[i]);
      const int low = hex_value(digits[i + 1]);
      if (high < 0 || low < 0) return configuration_error(in_quotes(text) + " is not hex");
      bytes += static_cast<char>(high * 16 + low);
    }
  } else if (std::all_of(text.begin(), text.end(), is_printable)) {
    bytes = text;
  } else {
    return configuration_error(in_quotes(text) +
                               " is not plain text; write hex: and its bytes in hex");
  }
  if (bytes.empty() || bytes.size() > kAlpnIdMax) {
    return configuration_error(in_quotes(text) + " is no ALPN id; they have 1 to 255 bytes");
  }
  return bytes;
}

std::string show_alpn_id(std::string_view bytes) {
  const bool plain =
      std::all_of(bytes.begin(), bytes.end(), [](char c) { return is_printable(c) && c != ','; });
  if (plain && !bytes.starts_with("hex:")) return std::string(bytes);
  std::string out = "hex:";
  for (const char c : bytes) {
    out += kHexDigits[static_cast<unsigned char>(c) >> 4U];
    out += kHexDigits[static_cast<unsigned char>(c) & 15U];
  }
  return out;
}

std::vector<std::string> split_list(std::string_view text, char separator) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::vector<std::string> items;
  while (true) {
    const size_t end = text.find(separator);
    std::string_view item = text.substr(0, end);
    item.remove_prefix(std::min(item.find_first_not_of(kBlanks), item.size()));
    item = item.substr(0, item.find_last_not_of(kBlanks) + 1);
    if (!item.empty()) items.emplace_back(item);
    if (end == std::string_view::npos) return items;
    text.remove_prefix(end + 1);
  }
}

}  // namespace ptth
