#include "common/http_date.h"

#include <chrono>

#include <doctest/doctest.h>

using ptth::HttpTime;
using ptth::parse_http_date;

TEST_CASE("a date is read in each of the three forms of HTTP") {
  const HttpTime expected{std::chrono::seconds(784111777)};
  CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == expected);
  CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == expected);
  CHECK(parse_http_date("Sun Nov  6 08:49:37 1994") == expected);
  CHECK(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT") == HttpTime{});
  CHECK(parse_http_date("Wed, 01-Jan-69 00:00:00 GMT") == std::nullopt);
  CHECK(parse_http_date("Tuesday, 01-Jan-69 00:00:00 GMT") ==
        parse_http_date("Tue, 01 Jan 2069 00:00:00 GMT"));
  CHECK(parse_http_date("Wed Feb 29 23:59:59 2028") ==
        parse_http_date("Tue, 29 Feb 2028 23:59:60 GMT"));
}

TEST_CASE("what is no date is none") {
  for (const char* text :
       {"", "0", "120", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "sun, 06 nov 1994 08:49:37 gmt", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 2026 00:00:00 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov -994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 94", "06 Nov 1994 08:49:37 GMT"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_http_date(text).has_value());
  }
}
