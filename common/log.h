#pragma once

// Structured log lines on standard error: constant message text plus fields, as JSON or for people.
// Lines are handed to a writer thread through a bounded buffer, so that a slow or full destination
// never blocks the loop; what does not fit is counted and dropped. Control bytes and invalid UTF-8
// are escaped, long fields are cut.

#include "common/error.h"
#include "common/loop.h"
#include "common/repeat_limiter.h"
#include "common/secret.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ptth {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kJson, kHuman };

// name is a constant of the code; values may come from the wire.
struct LogField {
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  LogField(std::string_view field_name, std::string_view text) : name(field_name), value(text) {}

  LogField(std::string_view field_name, const char* text)
      : name(field_name), value(std::string_view(text)) {}

  LogField(std::string_view field_name, const std::string& text)
      : name(field_name), value(std::string_view(text)) {}

  LogField(std::string_view field_name, const Secret& /*secret*/)
      : name(field_name), value(Secret::kMask) {}

  template <std::signed_integral Number>
  LogField(std::string_view field_name, Number number) : name(field_name), value(int64_t{number}) {}

  template <std::unsigned_integral Number>
  LogField(std::string_view field_name, Number number)
      : name(field_name), value(uint64_t{number}) {}

  LogField(std::string_view field_name, double number) : name(field_name), value(number) {}

  LogField(std::string_view field_name, bool flag) : name(field_name), value(flag) {}

  std::string_view name;
  Value value;
};

class LogFormatter;

// Used on one thread.
class Log {
 public:
  struct Options {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kJson;
    int descriptor = 2;  // Where lines go. Not closed.
    size_t buffered_bytes_max =
        1 << 20;  // Lines waiting for the writer; beyond it they are dropped and counted.
    size_t field_bytes_max = 2048;  // A longer value is cut and marked.
    Milliseconds farewell{1'000};   // At the end a stuck destination is waited for so long.
  };

  explicit Log(const Options& options);
  // Writes what is buffered, waiting for at most options.farewell.
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

  // For what a gateway can cause over and over: a few lines per message and gateway, then one each
  // few seconds with the number of those held back ("held_back"). message is a constant; gateway is
  // a name from the configuration and becomes a field.
  void warn_limited(std::string_view message, std::string_view gateway,
                    std::initializer_list<LogField> fields = {});

  // Lines lost since the start because the destination did not take them.
  [[nodiscard]] uint64_t dropped() const;

  // The last warnings and errors as JSON lines, for whoever asks how the agent is; the oldest
  // first.
  [[nodiscard]] const std::deque<std::string>& recent_warnings() const { return recent_; }

  static constexpr size_t kRecentMax = 32;

 private:
  class Writer;
  void write_line(LogLevel level, std::string_view message, std::span<const LogField> fields);

  struct Limiter {
    std::string message;
    std::string gateway;
    RepeatLimiter repeats;
  };

  // Messages and gateways are bounded sets; should they be more one day, the rest shares one.
  static constexpr size_t kLimitersMax = 256;
  RepeatLimiter& limiter(std::string_view message, std::string_view gateway);

  LogLevel level_;
  std::unique_ptr<LogFormatter> formatter_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<LogFormatter> recent_formatter_;
  std::deque<std::string> recent_;
  std::vector<Limiter> limiters_;
  RepeatLimiter other_repeats_;
  std::vector<LogField> limited_fields_;
};

[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view text);
[[nodiscard]] Result<LogFormat> parse_log_format(std::string_view text);

}  // namespace ptth
