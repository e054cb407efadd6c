#pragma once

// Turns one event into one line of text: JSON for machines, a short form for people. Called once
// per exchange, so the time is formatted once per second and the memory of the line is reused.
// Bytes that came from outside cannot break out of their field: control bytes, invalid UTF-8 and
// characters that reorder text are written as escapes.

#include "common/log.h"

#include <array>
#include <cstddef>
#include <ctime>
#include <span>
#include <string>
#include <string_view>

namespace ptth {

enum class LogColour { kNever, kAlways };

class LogFormatter {
 public:
  LogFormatter(LogFormat format, LogColour colour, size_t field_bytes_max)
      : format_(format), colour_(colour), field_bytes_max_(field_bytes_max) {}

  // Replaces line. time: of the wall clock. The line ends in a newline and has no other.
  void format(std::string& line, const timespec& time, LogLevel level, std::string_view message,
              std::span<const LogField> fields);

 private:
  void append_time(std::string& line, const timespec& time);
  void append_value(std::string& line, const LogField::Value& value) const;
  void append_text(std::string& line, std::string_view text) const;

  LogFormat format_;
  LogColour colour_;
  size_t field_bytes_max_;
  std::time_t cached_second_ = -1;
  std::array<char, 32> second_text_{};  // Up to and without the fraction.
  size_t second_size_ = 0;
};

}  // namespace ptth
