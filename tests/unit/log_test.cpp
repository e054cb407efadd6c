#include "common/log.h"

#include "common/log_formatter.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <fcntl.h>
#include <initializer_list>
#include <limits>
#include <poll.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

using ptth::Log;
using ptth::LogColour;
using ptth::LogField;
using ptth::LogFormat;
using ptth::LogFormatter;
using ptth::LogLevel;

namespace {

// 2026-01-02T03:04:05.067Z.
constexpr timespec kTime = {.tv_sec = 1'767'323'045, .tv_nsec = 67'999'999};

std::string format(LogFormat format, std::vector<LogField> fields, size_t field_bytes_max = 2048) {
  LogFormatter formatter(format, LogColour::kNever, field_bytes_max);
  return std::string(formatter.format(kTime, LogLevel::kInfo, "link up", fields));
}

std::string json_value(std::string_view text, size_t field_bytes_max = 2048) {
  const std::string line = format(LogFormat::kJson, {{"v", text}}, field_bytes_max);
  const std::string before =
      R"({"time":"2026-01-02T03:04:05.067Z","level":"info","message":"link up","v":)";
  REQUIRE(line.starts_with(before));
  REQUIRE(line.ends_with("}\n"));
  return line.substr(before.size(), line.size() - before.size() - 2);
}

class Pipe {
 public:
  Pipe() { REQUIRE(pipe2(ends_.data(), O_CLOEXEC) == 0); }

  ~Pipe() {
    close_reader();
    close(ends_[1]);
  }

  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  Pipe(Pipe&&) = delete;
  Pipe& operator=(Pipe&&) = delete;

  [[nodiscard]] int writer() const { return ends_[1]; }

  void close_reader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }

  // What arrives up to and with this text.
  std::string read_until(std::string_view text) {
    std::string all;
    while (all.find(text) == std::string::npos) {
      pollfd entry = {.fd = ends_[0], .events = POLLIN, .revents = 0};
      REQUIRE(poll(&entry, 1, 10'000) == 1);
      std::array<char, 65536> bytes{};
      const ssize_t count = read(ends_[0], bytes.data(), bytes.size());
      REQUIRE(count > 0);
      all.append(bytes.data(), static_cast<size_t>(count));
    }
    return all;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

size_t lines_of(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

void fill(Log& log, int lines) {
  const std::string text(1000, 'x');
  for (int line = 0; line < lines; ++line)
    log.info("filler", {{"text", text}});
}

}  // namespace

TEST_CASE("a JSON line has time, level, message and fields of their types") {
  CHECK(format(LogFormat::kJson, {{"link", 7U},
                                  {"delta", -3},
                                  {"ratio", 0.5},
                                  {"nan", std::numeric_limits<double>::quiet_NaN()},
                                  {"ok", true},
                                  {"bytes", uint64_t{18446744073709551615U}},
                                  {"gateway", "gw1"}}) ==
        R"({"time":"2026-01-02T03:04:05.067Z","level":"info","message":"link up","link":7,)"
        R"("delta":-3,"ratio":0.5,"nan":"NaN","ok":true,"bytes":18446744073709551615,)"
        R"("gateway":"gw1"})"
        "\n");
}

TEST_CASE("a human line is short and quotes only what needs it") {
  const std::string line = format(
      LogFormat::kHuman,
      {{"gateway", "gw1"}, {"path", "/a b"}, {"empty", ""}, {"esc", "\x1b[31m\n\\"}, {"n", 5}});
  CHECK(line.substr(line.find(' ')) ==
        " INFO  link up gateway=gw1 path=\"/a b\" empty=\"\" esc=\"\\x1b[31m\\n\\\\\" n=5\n");
}

TEST_CASE("colour is around the level and the names, never inside values") {
  LogFormatter formatter(LogFormat::kHuman, LogColour::kAlways, 100);
  const std::vector<LogField> fields = {{"a", "b"}};
  const std::string line(formatter.format(kTime, LogLevel::kWarn, "m", fields));
  CHECK(line.substr(line.find(' ')) == " \x1b[33mWARN \x1b[0m m \x1b[2ma=\x1b[0mb\n");
}

TEST_CASE("the time of a line follows the clock across seconds and back") {
  LogFormatter formatter(LogFormat::kJson, LogColour::kNever, 100);
  const auto time_at = [&](time_t second, long nanosecond) {
    return std::string(
        formatter.format({.tv_sec = second, .tv_nsec = nanosecond}, LogLevel::kInfo, "", {})
            .substr(9, 24));
  };
  CHECK(time_at(1'767'323'045, 999'999'999) == "2026-01-02T03:04:05.999Z");
  CHECK(time_at(1'767'323'046, 0) == "2026-01-02T03:04:06.000Z");
  CHECK(time_at(1'767'323'045, 5'000'000) == "2026-01-02T03:04:05.005Z");
}

TEST_CASE("every control byte is escaped in JSON") {
  for (int byte = 0; byte < 0x20; ++byte) {
    const std::string value = json_value(std::string(1, static_cast<char>(byte)));
    CAPTURE(byte);
    CHECK(value.size() >= 4);
    CHECK(value[1] == '\\');
    for (const char shown : value)
      CHECK(static_cast<unsigned char>(shown) >= 0x20);
  }
  CHECK(json_value(std::string_view("\0", 1)) == R"("\u0000")");
  CHECK(json_value("\x1b[2J\x7f") == R"("\u001b[2J\u007f")");
  CHECK(json_value("a\r\n\t\"\\/") == R"("a\r\n\t\"\\/")");
}

TEST_CASE("valid UTF-8 stays, but for characters that act on the reader's screen") {
  CHECK(json_value("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"");
  CHECK(json_value("\xc2\x9b"
                   "31m") == R"("\u009b31m")");        // C1 control.
  CHECK(json_value("\xe2\x80\xae") == R"("\u202e")");  // Right-to-left override.
  CHECK(json_value("\xe2\x80\xa8") == R"("\u2028")");  // Line separator.
  CHECK(json_value("\xe2\x81\xa6") == R"("\u2066")");
}

TEST_CASE("invalid UTF-8 is shown byte by byte") {
  struct Case {
    std::string_view bytes;
    std::string_view shown;
  };

  const std::vector<Case> cases = {
      {"\x80", R"(\\x80)"},
      {"\xff\xfe", R"(\\xff\\xfe)"},
      {"\xc3", R"(\\xc3)"},                    // Cut short.
      {"\xe2\x82", R"(\\xe2\\x82)"},           //
      {"\xf0\x9f\x98", R"(\\xf0\\x9f\\x98)"},  //
      {"\xc3(", R"(\\xc3()"},                  // No continuation.
      {"\xc0\xaf", R"(\\xc0\\xaf)"},           // Overlong.
      {"\xc1\xbf", R"(\\xc1\\xbf)"},           //
      {"\xe0\x80\xaf", R"(\\xe0\\x80\\xaf)"},  //
      {"\xf0\x80\x80\xaf", R"(\\xf0\\x80\\x80\\xaf)"},
      {"\xed\xa0\x80", R"(\\xed\\xa0\\x80)"},           // Surrogate.
      {"\xed\xbf\xbf", R"(\\xed\\xbf\\xbf)"},           //
      {"\xf4\x90\x80\x80", R"(\\xf4\\x90\\x80\\x80)"},  // Above U+10FFFF.
      {"\xf5\x80\x80\x80", R"(\\xf5\\x80\\x80\\x80)"},
      {"\xf8\x88\x80\x80\x80", R"(\\xf8\\x88\\x80\\x80\\x80)"},
      {"a\xffz", R"(a\\xffz)"},
  };
  for (const Case& tested : cases) {
    CAPTURE(tested.shown);
    CHECK(json_value(tested.bytes) == "\"" + std::string(tested.shown) + "\"");
  }
  CHECK(format(LogFormat::kHuman, {{"v", "\xff"}}).ends_with(" v=\"\\xff\"\n"));
}

TEST_CASE("a long field is cut between characters and marked") {
  CHECK(json_value("abcdef", 4) == R"("abcd...[+2 bytes]")");
  CHECK(json_value("abcd", 4) == R"("abcd")");
  CHECK(json_value("abc\xc3\xbc", 4) == R"("abc...[+2 bytes]")");
  CHECK(json_value("\xf0\x9f\x98\x80", 3) == R"("...[+4 bytes]")");
  CHECK(json_value("\x80\x80\x80\x80\x80\x80", 5) == R"("\\x80\\x80...[+4 bytes]")");
}

TEST_CASE("real numbers are rounded to millionths, and keep their form when they are beyond") {
  const auto shown = [](double number) {
    const std::string line = format(LogFormat::kJson, {{"v", number}});
    const size_t begin = line.find("\"v\":") + 4;
    return line.substr(begin, line.size() - begin - 2);
  };
  CHECK(shown(0) == "0");
  CHECK(shown(2) == "2");
  CHECK(shown(0.1) == "0.1");
  CHECK(shown(-1.25) == "-1.25");
  CHECK(shown(0.000123) == "0.000123");
  CHECK(shown(0.9999999) == "1");
  CHECK(shown(2.0 / 3) == "0.666667");
  CHECK(shown(60.00001) == "60.00001");
  CHECK(shown(1e-7) == "1e-07");
  CHECK(shown(1e300) == "1e+300");
  CHECK(shown(-std::numeric_limits<double>::infinity()) == "\"-Infinity\"");
}

TEST_CASE("escapes are found at every place of a text, and nothing else is") {
  const auto stays = [](const std::string& text) { return json_value(text) == "\"" + text + "\""; };
  for (int byte = 0; byte < 0x80; ++byte) {
    const bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
    // In the first, a middle and the last word of eight, and behind it.
    for (const size_t at : std::initializer_list<size_t>{0, 7, 8, 13, 16}) {
      std::string text(17, '!');
      text[at] = static_cast<char>(byte);
      CAPTURE(byte);
      CHECK(stays(text) == plain);
    }
  }
  for (size_t size = 1; size < 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      std::string text(size, '~');
      text[at] = '"';
      CHECK_FALSE(stays(text));
    }
  }
}

TEST_CASE("fields of any size and content fit into the memory of a line") {
  LogFormatter formatter(LogFormat::kJson, LogColour::kNever, 1 << 20);
  for (const size_t size : std::initializer_list<size_t>{0, 1, 100, 1000, 30'000, 5, 100'000, 7}) {
    const std::string bad(size, '\0');
    const std::string good(size, 'x');
    const std::vector<LogField> fields = {{"b", bad}, {"g", good}, {"n", UINT64_MAX}, {"b", bad}};
    const std::string_view line = formatter.format(kTime, LogLevel::kInfo, "m", fields);
    CHECK(line.size() == 13 * size + 111);
    CHECK(line.ends_with("\"}\n"));
  }
}

TEST_CASE("a secret in a field is three stars") {
  const ptth::Secret secret(std::string("s3cr3t"));
  CHECK(format(LogFormat::kJson, {{"token", secret}}).find(R"("token":"***")") !=
        std::string::npos);
}

TEST_CASE("lines below the level are not written, and the rest arrives in order at the end") {
  Pipe pipe;
  {
    Log log({.level = LogLevel::kWarn, .descriptor = pipe.writer()});
    log.info("no");
    log.warn("first");
    log.set_level(LogLevel::kInfo);
    log.info("second");
    log.debug("no");
    log.set_level(LogLevel::kOff);
    log.error("no");
  }
  const std::string text = pipe.read_until("second\"}\n");
  CHECK(lines_of(text) == 2);
  CHECK(text.find("first") < text.find("second"));
  CHECK(text.find("no\"") == std::string::npos);
}

TEST_CASE("a stuck pipe drops and counts, and a line tells of the loss when it flows again") {
  Pipe pipe;
  Log log({.descriptor = pipe.writer(), .buffered_bytes_max = 100'000});
  // 64 KiB in the pipe and 100 kB in the buffer hold at most 165 of these.
  fill(log, 1000);
  const uint64_t dropped = log.dropped();
  CHECK(dropped >= 800);
  CHECK(dropped < 1000);
  // The writer may have come between, and then it tells twice.
  std::string text;
  size_t tellings = 0;
  uint64_t told = 0;
  while (told < dropped) {
    text += pipe.read_until("}\n");
    tellings = 0;
    told = 0;
    const std::string_view mark = "log lines lost\",\"lines\":";
    const std::string whole = text.substr(0, text.rfind('\n'));
    for (size_t at = whole.find(mark); at != std::string::npos; at = whole.find(mark, at + 1)) {
      ++tellings;
      told += std::stoull(whole.substr(at + mark.size()));
    }
  }
  CHECK(told == dropped);
  CHECK(lines_of(text) == 1000 - dropped + tellings);
  log.info("after");
  CHECK(lines_of(pipe.read_until("after\"}\n")) == 1);
  CHECK(log.dropped() == dropped);
}

TEST_CASE("a log whose pipe is stuck can be destroyed, and gives the buffered lines up") {
  Pipe pipe;
  {
    Log log({.descriptor = pipe.writer(),
             .buffered_bytes_max = 200'000,
             .farewell = ptth::Milliseconds(10)});
    fill(log, 500);
    CHECK(log.dropped() > 0);
  }
  // The thread that was left behind stops as soon as its write returns.
  CHECK(pipe.read_until("filler").size() > 1000);
}

TEST_CASE("a closed pipe neither kills nor blocks") {
  Pipe pipe;
  pipe.close_reader();
  Log log({.descriptor = pipe.writer(), .buffered_bytes_max = 50'000});
  fill(log, 1000);
  CHECK(log.dropped() >= 900);
}

TEST_CASE("a full disk neither kills nor blocks") {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(full >= 0);
  {
    Log log({.descriptor = full, .buffered_bytes_max = 50'000});
    fill(log, 1000);
    CHECK(log.dropped() >= 900);
  }
  close(full);
}

TEST_CASE("a destination that was made non-blocking loses nothing that fits the buffer") {
  Pipe pipe;
  REQUIRE(fcntl(pipe.writer(), F_SETFL, O_NONBLOCK) == 0);
  Log log({.descriptor = pipe.writer()});
  fill(log, 500);
  log.info("last");
  CHECK(lines_of(pipe.read_until("last\"}\n")) == 501);
  CHECK(log.dropped() == 0);
}

TEST_CASE("warnings that a gateway can repeat are limited for each message and gateway") {
  Pipe pipe;
  Log log({.descriptor = pipe.writer()});
  for (int time = 0; time < 10'000; ++time)
    log.warn_limited("too many resets", "bad", {{"limit", 5}});
  log.warn_limited("too many resets", "good");
  log.warn_limited("too many pings", "bad");
  const std::string text = pipe.read_until("too many pings\",\"gateway\":\"bad\"}\n");
  CHECK(text.find(R"("message":"too many resets","gateway":"bad","limit":5)") != std::string::npos);
  CHECK(text.find(R"("message":"too many resets","gateway":"good"})") != std::string::npos);
  CHECK(lines_of(text) < 100);
}

TEST_CASE("levels and formats have names, and a wrong one is told the right ones") {
  CHECK(ptth::parse_log_level("warn").value() == LogLevel::kWarn);
  CHECK(ptth::parse_log_level("loud").error().detail.find("trace, debug") != std::string::npos);
  CHECK(ptth::parse_log_format("human").value() == LogFormat::kHuman);
  CHECK_FALSE(ptth::parse_log_format("xml").ok());
}
