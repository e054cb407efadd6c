#pragma once

// Structured log lines on standard error: constant message text plus fields, as JSON or for people.
// Lines are handed to a writer thread through a bounded buffer, so that a slow or full destination
// never blocks the loop; what does not fit is counted and dropped. Control bytes and invalid UTF-8
// are escaped, long fields are cut.

#include "common/error.h"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace ptth {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kJson, kHuman };

struct LogField {
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  LogField(std::string_view field_name, std::string_view text) : name(field_name), value(text) {}

  LogField(std::string_view field_name, const char* text)
      : name(field_name), value(std::string_view(text)) {}

  LogField(std::string_view field_name, const std::string& text)
      : name(field_name), value(std::string_view(text)) {}

  LogField(std::string_view field_name, int number) : name(field_name), value(int64_t{number}) {}

  LogField(std::string_view field_name, int64_t number) : name(field_name), value(number) {}

  LogField(std::string_view field_name, uint64_t number) : name(field_name), value(number) {}

  LogField(std::string_view field_name, double number) : name(field_name), value(number) {}

  LogField(std::string_view field_name, bool flag) : name(field_name), value(flag) {}

  std::string_view name;
  Value value;
};

class Log {
 public:
  struct Options {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kJson;
    int descriptor = 2;  // Where lines go. Not closed.
    size_t buffered_bytes_max =
        1 << 20;  // Lines waiting for the writer; beyond it they are dropped and counted.
    size_t field_bytes_max = 2048;  // A longer value is cut and marked.
  };

  explicit Log(const Options& options);
  // Writes what is buffered, waiting for at most a second.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  Log(Log&&) = delete;
  Log& operator=(Log&&) = delete;

  [[nodiscard]] bool enabled(LogLevel level) const { return level >= level_; }

  void set_level(LogLevel level) { level_ = level; }

  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);

  void debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    if (enabled(LogLevel::kDebug)) write(LogLevel::kDebug, message, fields);
  }

  void info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    if (enabled(LogLevel::kInfo)) write(LogLevel::kInfo, message, fields);
  }

  void warn(std::string_view message, std::initializer_list<LogField> fields = {}) {
    if (enabled(LogLevel::kWarn)) write(LogLevel::kWarn, message, fields);
  }

  void error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    if (enabled(LogLevel::kError)) write(LogLevel::kError, message, fields);
  }

  // Lines lost since the start because the destination did not keep up.
  [[nodiscard]] uint64_t dropped() const;

 private:
  class Writer;
  LogLevel level_;
  LogFormat format_;
  size_t field_bytes_max_;
  std::unique_ptr<Writer> writer_;
  std::string line_;  // Reused for formatting; the log is used on one thread.
};

[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view text);
[[nodiscard]] Result<LogFormat> parse_log_format(std::string_view text);

}  // namespace ptth
