#include "common/log_formatter.h"

#include "common/utf8.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <variant>

namespace ptth {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

constexpr std::array<bool, 256> make_plain_table() {
  std::array<bool, 256> plain{};
  for (size_t byte = 0x20; byte < 0x7f; ++byte)
    plain[byte] = byte != '"' && byte != '\\';
  return plain;
}

// Bytes that stand for themselves between quotes, in both formats.
constexpr std::array<bool, 256> kPlain = make_plain_table();

// Valid characters that a terminal or a viewer would act upon: C1 controls, line separators, and
// what changes the direction of text (the "Trojan Source" characters).
bool is_unsafe(char32_t code) {
  return (code >= 0x80 && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

void append_hex(std::string& line, uint32_t value, unsigned digits) {
  for (unsigned digit = digits; digit > 0; --digit)
    line += kHexDigits[(value >> (4 * (digit - 1))) & 0xf];
}

// A control byte, a quote or a backslash.
void append_escaped_byte(std::string& line, uint8_t byte, LogFormat format) {
  line += '\\';
  switch (byte) {
    case '"':
    case '\\':
      line += static_cast<char>(byte);
      return;
    case '\n':
      line += 'n';
      return;
    case '\r':
      line += 'r';
      return;
    case '\t':
      line += 't';
      return;
    default:
      line += format == LogFormat::kJson ? "u00" : "x";
      append_hex(line, byte, 2);
  }
}

// JSON has no escape for a byte that is no character, so there it is shown as the text "\xff".
void append_invalid_byte(std::string& line, uint8_t byte, LogFormat format) {
  line += format == LogFormat::kJson ? "\\\\x" : "\\x";
  append_hex(line, byte, 2);
}

void append_escaped(std::string& line, std::string_view text, LogFormat format) {
  size_t begin = 0;
  for (;;) {
    size_t end = begin;
    while (end < text.size() && kPlain[static_cast<uint8_t>(text[end])])
      ++end;
    line.append(text, begin, end - begin);
    if (end == text.size()) return;
    const auto byte = static_cast<uint8_t>(text[end]);
    begin = end + 1;
    if (byte < 0x80) {
      append_escaped_byte(line, byte, format);
      continue;
    }
    const Utf8Character character = decode_utf8(text.substr(end));
    if (character.size == 0) {
      append_invalid_byte(line, byte, format);
      continue;
    }
    begin = end + character.size;
    if (is_unsafe(character.code)) {
      line += "\\u";
      append_hex(line, character.code, 4);
    } else {
      line.append(text, end, character.size);
    }
  }
}

template <class Number>
void append_number(std::string& line, Number number) {
  std::array<char, 32> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  line.append(digits.data(), written.ptr);
}

void append_double(std::string& line, double number, LogFormat format) {
  if (std::isfinite(number)) return append_number(line, number);
  // JSON has no such numbers.
  const std::string_view text = std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  const std::string_view quote = format == LogFormat::kJson ? "\"" : "";
  line.append(quote).append(text).append(quote);
}

std::string_view json_level(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return "trace";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      break;
  }
  return "off";
}

struct HumanLevel {
  std::string_view text;  // All of one width.
  std::string_view colour;
};

HumanLevel human_level(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return {"TRACE", "\x1b[2m"};
    case LogLevel::kDebug:
      return {"DEBUG", "\x1b[2m"};
    case LogLevel::kInfo:
      return {"INFO ", "\x1b[32m"};
    case LogLevel::kWarn:
      return {"WARN ", "\x1b[33m"};
    case LogLevel::kError:
      return {"ERROR", "\x1b[31m"};
    case LogLevel::kOff:
      break;
  }
  return {"OFF  ", ""};
}

constexpr std::string_view kColourEnd = "\x1b[0m";
constexpr std::string_view kColourName = "\x1b[2m";

// Text that people can read without quotes around it.
bool is_bare(std::string_view text) {
  const auto bare = [](char character) {
    return kPlain[static_cast<uint8_t>(character)] && character != ' ' && character != '=';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), bare);
}

// Where to cut, so that no character is cut in two.
size_t cut_at(std::string_view text, size_t bytes_max) {
  size_t end = bytes_max;
  for (int step = 0; step < 3 && end > 0; ++step) {
    if ((static_cast<uint8_t>(text[end]) & 0xc0) != 0x80) break;
    --end;
  }
  return end;
}

}  // namespace

void LogFormatter::format(std::string& line, const timespec& time, LogLevel level,
                          std::string_view message, std::span<const LogField> fields) {
  line.clear();
  if (format_ == LogFormat::kJson) {
    line += "{\"time\":\"";
    append_time(line, time);
    line.append("Z\",\"level\":\"").append(json_level(level)).append("\",\"message\":\"");
    append_escaped(line, message, format_);
    line += '"';
    for (const LogField& field : fields) {
      line += ",\"";
      append_escaped(line, field.name, format_);
      line += "\":";
      append_value(line, field.value);
    }
    line += "}\n";
    return;
  }
  const bool colour = colour_ == LogColour::kAlways;
  const HumanLevel shown = human_level(level);
  append_time(line, time);
  line += ' ';
  if (colour) line += shown.colour;
  line += shown.text;
  if (colour) line += kColourEnd;
  line += ' ';
  append_escaped(line, message, format_);
  for (const LogField& field : fields) {
    line += ' ';
    if (colour) line += kColourName;
    append_escaped(line, field.name, format_);
    line += '=';
    if (colour) line += kColourEnd;
    append_value(line, field.value);
  }
  line += '\n';
}

// JSON: RFC 3339 in UTC. People: the local time of day.
void LogFormatter::append_time(std::string& line, const timespec& time) {
  if (time.tv_sec != cached_second_) {
    cached_second_ = time.tv_sec;
    std::tm parts{};
    const bool json = format_ == LogFormat::kJson;
    json ? gmtime_r(&time.tv_sec, &parts) : localtime_r(&time.tv_sec, &parts);
    second_size_ = std::strftime(second_text_.data(), second_text_.size(),
                                 json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &parts);
  }
  const auto millisecond = static_cast<uint32_t>(time.tv_nsec / 1'000'000);
  const std::array<char, 4> fraction = {'.', static_cast<char>('0' + millisecond / 100 % 10),
                                        static_cast<char>('0' + millisecond / 10 % 10),
                                        static_cast<char>('0' + millisecond % 10)};
  line.append(second_text_.data(), second_size_).append(fraction.data(), fraction.size());
}

void LogFormatter::append_value(std::string& line, const LogField::Value& value) const {
  if (const auto* text = std::get_if<std::string_view>(&value)) return append_text(line, *text);
  if (const auto* count = std::get_if<uint64_t>(&value)) return append_number(line, *count);
  if (const auto* number = std::get_if<int64_t>(&value)) return append_number(line, *number);
  if (const auto* real = std::get_if<double>(&value)) return append_double(line, *real, format_);
  if (const auto* flag = std::get_if<bool>(&value)) line += *flag ? "true" : "false";
}

void LogFormatter::append_text(std::string& line, std::string_view text) const {
  size_t cut = 0;
  if (text.size() > field_bytes_max_) {
    const size_t end = cut_at(text, field_bytes_max_);
    cut = text.size() - end;
    text = text.substr(0, end);
  }
  if (format_ == LogFormat::kHuman && cut == 0 && is_bare(text)) {
    line += text;
    return;
  }
  line += '"';
  append_escaped(line, text, format_);
  if (cut > 0) {
    line += "...[+";
    append_number(line, cut);
    line += " bytes]";
  }
  line += '"';
}

}  // namespace ptth
