#pragma once

// Turns one event into one line of text: JSON for machines, a short form for people. Called once
// per exchange, so the time is formatted once per second and the memory of the line is reused.
// Bytes that came from outside cannot break out of their field: control bytes, invalid UTF-8 and
// characters that reorder text are written as escapes.

#include "common/log.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <span>
#include <string_view>
#include <vector>

namespace ptth {

enum class LogColour { kNever, kAlways };

// Memory that a line is written into. room() is asked once per piece; what follows is unchecked, as
// it has to be quick.
class LineMemory {
 public:
  // So many bytes may be put before the next room().
  void room(size_t bytes) {
    if (bytes_.size() - size_ < bytes) bytes_.resize(2 * bytes_.size() + bytes);
  }

  void put(char byte) { bytes_[size_++] = byte; }

  void put(std::string_view text) {
    std::memcpy(bytes_.data() + size_, text.data(), text.size());
    size_ += text.size();
  }

  template <class Number>
  void put_number(Number number) {
    const auto written =
        std::to_chars(bytes_.data() + size_, bytes_.data() + bytes_.size(), number);
    size_ = static_cast<size_t>(written.ptr - bytes_.data());
  }

  [[nodiscard]] std::string_view text() const { return {bytes_.data(), size_}; }

  // Makes it empty. Memory that a huge line needed is given back.
  void clear() {
    size_ = 0;
    if (bytes_.size() > kKeepBytes) std::vector<char>().swap(bytes_);
  }

 private:
  static constexpr size_t kKeepBytes = size_t{32} * 1024;
  std::vector<char> bytes_;
  size_t size_ = 0;
};

class LogFormatter {
 public:
  LogFormatter(LogFormat format, LogColour colour, size_t field_bytes_max)
      : format_(format), colour_(colour), field_bytes_max_(field_bytes_max) {}

  // time: of the wall clock. The line ends in a newline and has no other. It is valid until the
  // next call.
  [[nodiscard]] std::string_view format(const timespec& time, LogLevel level,
                                        std::string_view message, std::span<const LogField> fields);

 private:
  void put_json(const timespec& time, LogLevel level, std::string_view message,
                std::span<const LogField> fields);
  void put_human(const timespec& time, LogLevel level, std::string_view message,
                 std::span<const LogField> fields);
  void put_time(const timespec& time);
  void put_value(const LogField::Value& value);
  void put_text(std::string_view text);
  void put_escaped(std::string_view text);

  LogFormat format_;
  LogColour colour_;
  size_t field_bytes_max_;
  LineMemory line_;
  std::time_t cached_second_ = -1;
  std::array<char, 32> second_text_{};  // Up to and without the fraction.
  size_t second_size_ = 0;
};

}  // namespace ptth
