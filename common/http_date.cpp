#include "common/http_date.h"

#include <algorithm>
#include <array>

namespace ptth {

namespace {

constexpr std::array<std::string_view, 7> kDays{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr std::array<std::string_view, 7> kLongDays{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                    "Friday", "Saturday", "Sunday"};
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Takes parts off the front of a text; once one is not there, nothing is.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void skip(std::string_view expected) {
    if (rest_.starts_with(expected)) {
      rest_.remove_prefix(expected.size());
    } else {
      good_ = false;
    }
  }

  // Which of the names stands here.
  template <size_t kCount>
  unsigned choose(const std::array<std::string_view, kCount>& names) {
    for (unsigned index = 0; index < kCount; ++index) {
      if (!rest_.starts_with(names[index])) continue;
      rest_.remove_prefix(names[index].size());
      return index;
    }
    good_ = false;
    return 0;
  }

  int number(size_t digits) {
    int value = 0;
    if (rest_.size() < digits) good_ = false;
    for (size_t index = 0; good_ && index < digits; ++index) {
      const char digit = rest_[index];
      if (digit < '0' || digit > '9') good_ = false;
      value = value * 10 + (digit - '0');
    }
    if (good_) rest_.remove_prefix(digits);
    return good_ ? value : 0;
  }

  // In two characters, the first of which may be a space.
  int padded_number() {
    if (!rest_.starts_with(' ')) return number(2);
    skip(" ");
    return number(1);
  }

  [[nodiscard]] bool good() const { return good_; }

  [[nodiscard]] bool at_end() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

struct DateTime {
  int year = 0;
  unsigned month = 0;  // From 0.
  int day = 0;
  int seconds = 0;
};

// hh:mm:ss. A leap second counts as the one before it.
int read_time(Reader& reader) {
  const int hours = reader.number(2);
  reader.skip(":");
  const int minutes = reader.number(2);
  reader.skip(":");
  const int seconds = reader.number(2);
  if (hours > 23 || minutes > 59 || seconds > 60) return -1;
  return (hours * 60 + minutes) * 60 + std::min(seconds, 59);
}

bool read_fixed(Reader reader, DateTime& out) {
  reader.choose(kDays);
  reader.skip(", ");
  out.day = reader.number(2);
  reader.skip(" ");
  out.month = reader.choose(kMonths);
  reader.skip(" ");
  out.year = reader.number(4);
  reader.skip(" ");
  out.seconds = read_time(reader);
  reader.skip(" GMT");
  return reader.at_end();
}

bool read_rfc850(Reader reader, DateTime& out) {
  reader.choose(kLongDays);
  reader.skip(", ");
  out.day = reader.number(2);
  reader.skip("-");
  out.month = reader.choose(kMonths);
  reader.skip("-");
  const int year = reader.number(2);
  // Nobody who writes dates so speaks of times before 1970.
  out.year = year + (year >= 70 ? 1900 : 2000);
  reader.skip(" ");
  out.seconds = read_time(reader);
  reader.skip(" GMT");
  return reader.at_end();
}

bool read_asctime(Reader reader, DateTime& out) {
  reader.choose(kDays);
  reader.skip(" ");
  out.month = reader.choose(kMonths);
  reader.skip(" ");
  out.day = reader.padded_number();
  reader.skip(" ");
  out.seconds = read_time(reader);
  reader.skip(" ");
  out.year = reader.number(4);
  return reader.at_end();
}

}  // namespace

std::optional<HttpTime> parse_http_date(std::string_view text) {
  DateTime read;
  const Reader reader(text);
  if (!read_fixed(reader, read) && !read_rfc850(reader, read) && !read_asctime(reader, read)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(read.year),
                                         std::chrono::month(read.month + 1),
                                         std::chrono::day(static_cast<unsigned>(read.day))};
  if (!date.ok() || read.seconds < 0) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::seconds(read.seconds);
}

}  // namespace ptth
