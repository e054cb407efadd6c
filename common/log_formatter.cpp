#include "common/log_formatter.h"

#include "common/utf8.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <variant>

namespace ptth {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
// The longest escape of one byte, "\u001b".
constexpr size_t kEscapeBytesMax = 6;
// A number, and the punctuation and colour around a field or the head of a line.
constexpr size_t kMarginBytes = 160;

constexpr uint32_t kMicros = 1'000'000;

// Bytes that stand for themselves between quotes, in both formats.
constexpr bool is_plain(uint8_t byte) {
  return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

// Whether a byte of the word is zero; the lowest one that is marked with 0x80 certainly is.
constexpr uint64_t zero_bytes(uint64_t word) {
  return (word - 0x0101010101010101) & ~word & 0x8080808080808080;
}

// How many bytes at the front of text are plain. Most text is plain, so eight at a time.
size_t plain_prefix(std::string_view text) {
  size_t at = 0;
  if constexpr (std::endian::native == std::endian::little) {
    while (text.size() - at >= sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + at, sizeof(word));
      const uint64_t special = ((word - 0x2020202020202020) & ~word & 0x8080808080808080) |
                               (word & 0x8080808080808080) | zero_bytes(word ^ 0x2222222222222222) |
                               zero_bytes(word ^ 0x5c5c5c5c5c5c5c5c) |
                               zero_bytes(word ^ 0x7f7f7f7f7f7f7f7f);
      if (special != 0) return at + static_cast<size_t>(std::countr_zero(special)) / 8;
      at += sizeof(word);
    }
  }
  while (at < text.size() && is_plain(static_cast<uint8_t>(text[at])))
    ++at;
  return at;
}

// Valid characters that a terminal or a viewer would act upon: C1 controls, line separators, and
// what changes the direction of text (the "Trojan Source" characters).
bool is_unsafe(char32_t code) {
  return (code >= 0x80 && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

void put_hex(LineMemory& line, uint32_t value, unsigned digits) {
  for (unsigned digit = digits; digit > 0; --digit)
    line.put(kHexDigits[(value >> (4 * (digit - 1))) & 0xf]);
}

// A control byte, a quote or a backslash.
void put_escaped_byte(LineMemory& line, uint8_t byte, LogFormat format) {
  line.put('\\');
  switch (byte) {
    case '"':
    case '\\':
      line.put(static_cast<char>(byte));
      return;
    case '\n':
      line.put('n');
      return;
    case '\r':
      line.put('r');
      return;
    case '\t':
      line.put('t');
      return;
    default:
      line.put(format == LogFormat::kJson ? "u00" : "x");
      put_hex(line, byte, 2);
  }
}

// JSON has no escape for a byte that is no character, so there it is shown as the text "\xff".
void put_invalid_byte(LineMemory& line, uint8_t byte, LogFormat format) {
  line.put(format == LogFormat::kJson ? "\\\\x" : "\\x");
  put_hex(line, byte, 2);
}

// Six decimals, without zeros at the end. Several times faster than the shortest exact form, and
// nearly all real numbers of a log are seconds.
void put_micros(LineMemory& line, uint64_t micros) {
  line.put_number(micros / kMicros);
  auto fraction = static_cast<uint32_t>(micros % kMicros);
  if (fraction == 0) return;
  line.put('.');
  for (uint32_t digit = kMicros / 10; fraction > 0; digit /= 10) {
    line.put(static_cast<char>('0' + fraction / digit));
    fraction %= digit;
  }
}

void put_real(LineMemory& line, double number, LogFormat format) {
  const double size = std::fabs(number);
  if (size == 0 || (size >= 1e-6 && size < 1e9)) {
    if (number < 0) line.put('-');
    return put_micros(line, static_cast<uint64_t>(std::llround(size * kMicros)));
  }
  if (std::isfinite(number)) return line.put_number(number);
  // JSON has no such numbers.
  const bool json = format == LogFormat::kJson;
  if (json) line.put('"');
  line.put(std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
  if (json) line.put('"');
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
    return is_plain(static_cast<uint8_t>(character)) && character != ' ' && character != '=';
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

std::string_view LogFormatter::format(const timespec& time, LogLevel level,
                                      std::string_view message, std::span<const LogField> fields) {
  line_.clear();
  if (format_ == LogFormat::kJson) {
    put_json(time, level, message, fields);
  } else {
    put_human(time, level, message, fields);
  }
  return line_.text();
}

void LogFormatter::put_json(const timespec& time, LogLevel level, std::string_view message,
                            std::span<const LogField> fields) {
  line_.room(kMarginBytes);
  line_.put("{\"time\":\"");
  put_time(time);
  line_.put("Z\",\"level\":\"");
  line_.put(json_level(level));
  line_.put("\",\"message\":\"");
  put_escaped(message);
  line_.put('"');
  for (const LogField& field : fields) {
    line_.room(field.name.size() + kMarginBytes);
    line_.put(",\"");
    line_.put(field.name);
    line_.put("\":");
    put_value(field.value);
  }
  line_.put("}\n");
}

void LogFormatter::put_human(const timespec& time, LogLevel level, std::string_view message,
                             std::span<const LogField> fields) {
  const bool colour = colour_ == LogColour::kAlways;
  const HumanLevel shown = human_level(level);
  line_.room(kMarginBytes);
  put_time(time);
  line_.put(' ');
  if (colour) line_.put(shown.colour);
  line_.put(shown.text);
  if (colour) line_.put(kColourEnd);
  line_.put(' ');
  put_escaped(message);
  for (const LogField& field : fields) {
    line_.room(field.name.size() + kMarginBytes);
    line_.put(' ');
    if (colour) line_.put(kColourName);
    line_.put(field.name);
    line_.put('=');
    if (colour) line_.put(kColourEnd);
    put_value(field.value);
  }
  line_.put('\n');
}

// JSON: RFC 3339 in UTC. People: the local time of day.
void LogFormatter::put_time(const timespec& time) {
  if (time.tv_sec != cached_second_) {
    cached_second_ = time.tv_sec;
    std::tm parts{};
    const bool json = format_ == LogFormat::kJson;
    json ? gmtime_r(&time.tv_sec, &parts) : localtime_r(&time.tv_sec, &parts);
    second_size_ = std::strftime(second_text_.data(), second_text_.size(),
                                 json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &parts);
  }
  const auto millisecond = static_cast<uint32_t>(time.tv_nsec / 1'000'000);
  line_.put(std::string_view(second_text_.data(), second_size_));
  line_.put('.');
  line_.put(static_cast<char>('0' + millisecond / 100 % 10));
  line_.put(static_cast<char>('0' + millisecond / 10 % 10));
  line_.put(static_cast<char>('0' + millisecond % 10));
}

void LogFormatter::put_value(const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    put_text(*text);
  } else if (const auto* count = std::get_if<uint64_t>(&value)) {
    line_.put_number(*count);
  } else if (const auto* number = std::get_if<int64_t>(&value)) {
    line_.put_number(*number);
  } else if (const auto* real = std::get_if<double>(&value)) {
    put_real(line_, *real, format_);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    line_.put(*flag ? "true" : "false");
  }
}

void LogFormatter::put_text(std::string_view text) {
  size_t cut = 0;
  if (text.size() > field_bytes_max_) {
    const size_t end = cut_at(text, field_bytes_max_);
    cut = text.size() - end;
    text = text.substr(0, end);
  }
  if (format_ == LogFormat::kHuman && cut == 0 && is_bare(text)) {
    line_.room(text.size() + kMarginBytes);
    line_.put(text);
    return;
  }
  line_.put('"');
  put_escaped(text);
  if (cut > 0) {
    line_.put("...[+");
    line_.put_number(cut);
    line_.put(" bytes]");
  }
  line_.put('"');
}

// Leaves room for a margin.
void LogFormatter::put_escaped(std::string_view text) {
  line_.room(kEscapeBytesMax * text.size() + kMarginBytes);
  for (;;) {
    const size_t plain = plain_prefix(text);
    line_.put(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return;
    const auto byte = static_cast<uint8_t>(text.front());
    const Utf8Character character = decode_utf8(text);
    if (byte < 0x80) {
      put_escaped_byte(line_, byte, format_);
    } else if (character.size == 0) {
      put_invalid_byte(line_, byte, format_);
    } else if (is_unsafe(character.code)) {
      line_.put("\\u");
      put_hex(line_, character.code, 4);
    } else {
      line_.put(text.substr(0, character.size));
    }
    text.remove_prefix(std::max<size_t>(character.size, 1));
  }
}

}  // namespace ptth
