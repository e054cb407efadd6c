#include "agent/config_value.h"

#include "agent/config_address.h"
#include "agent/nearest_match.h"

#include <string>

#include <doctest/doctest.h>

using ptth::edit_distance;
using ptth::Milliseconds;
using ptth::nearest_match;
using ptth::parse_alpn_id;
using ptth::parse_count;
using ptth::parse_duration;
using ptth::parse_gateway_url;
using ptth::parse_listen_address;
using ptth::parse_origin_url;
using ptth::parse_rate;
using ptth::parse_size;
using ptth::parse_switch;
using ptth::show_alpn_id;
using ptth::show_duration;
using ptth::show_origin_url;
using ptth::show_rate;
using ptth::show_size;
using ptth::split_list;

TEST_CASE("durations carry units and may be put together") {
  CHECK(parse_duration("500ms").value() == Milliseconds(500));
  CHECK(parse_duration("30s").value() == Milliseconds(30'000));
  CHECK(parse_duration("0.5s").value() == Milliseconds(500));
  CHECK(parse_duration("1m30s").value() == Milliseconds(90'000));
  CHECK(parse_duration("1h0.25m").value() == Milliseconds(3'615'000));
  CHECK(parse_duration("0").value() == Milliseconds(0));
  CHECK(parse_duration("0s").value() == Milliseconds(0));
}

TEST_CASE("a duration without a unit is refused with the ways to write it") {
  CHECK(parse_duration("30").error().detail ==
        "\"30\" has no unit; write 30ms or 30s or 30m or 30h");
  CHECK(parse_duration("1m30").error().detail ==
        "\"1m30\": unknown unit \"\", known are h, m, s, ms");
}

TEST_CASE("what is not a duration is refused") {
  for (const char* text : {"", "s", "-1s", "+1s", " 1s", "1 s", "1s ", "1.s", ".5s", "1.2345s",
                           "1d", "1S", "1e3s", "0x1s", "9999999999h", "0.5ms", "1s,2s"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text).ok());
  }
  // An embedded zero byte does not end the text.
  CHECK_FALSE(parse_duration(std::string("1s\0", 3)).ok());
}

TEST_CASE("sizes carry binary units") {
  CHECK(parse_size("512B").value() == 512);
  CHECK(parse_size("64KiB").value() == 65536);
  CHECK(parse_size("1.5MiB").value() == 1536 * 1024);
  CHECK(parse_size("2GiB").value() == uint64_t{2} << 30U);
  CHECK(parse_size("0").value() == 0);
}

TEST_CASE("a size in other units is refused with the nearest of ours") {
  CHECK(parse_size("65536").error().detail ==
        "\"65536\" has no unit; write 65536B or 65536KiB or 65536MiB or 65536GiB");
  CHECK(parse_size("64KB").error().detail ==
        "\"64KB\": unknown unit \"KB\", known are GiB, MiB, KiB, B; did you mean \"KiB\"?");
  for (const char* text : {"", "KiB", "-1KiB", "1KiB1B", "1.5B", "64k", "1e3B"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size(text).ok());
  }
}

TEST_CASE("what is shown is what would be written") {
  for (const char* text : {"500ms", "30s", "1m", "90s", "2h", "0"}) {
    CHECK(show_duration(parse_duration(text).value()) == text);
  }
  for (const char* text : {"512B", "64KiB", "3MiB", "8GiB", "0"}) {
    CHECK(show_size(parse_size(text).value()) == text);
  }
  for (const char* text : {"200+50/s", "1+0/s"})
    CHECK(show_rate(parse_rate(text).value()) == text);
  for (const char* text : {"h2", "http/1.1", "hex:d587c9a5"}) {
    CHECK(show_alpn_id(parse_alpn_id(text).value()) == text);
  }
  for (const char* text : {"http://localhost:3000", "http://[::1]:80", "unix:/run/app.sock"}) {
    CHECK(show_origin_url(parse_origin_url(text).value()) == text);
  }
}

TEST_CASE("counts are whole numbers in digits") {
  CHECK(parse_count("0").value() == 0);
  CHECK(parse_count("100").value() == 100);
  for (const char* text : {"", "-1", "+1", "1.5", "1k", " 1", "1e3", "0x10", "9999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_count(text).ok());
  }
}

TEST_CASE("rates say how many at once and how many per second") {
  const ptth::Rate rate = parse_rate("200+50/s").value();
  CHECK(rate.burst == 200);
  CHECK(rate.per_second == 50);
  for (const char* text : {"", "200", "200+50", "+50/s", "200+/s", "0+50/s", "200+50/m", "+/s"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rate(text).ok());
  }
}

TEST_CASE("switches are true or false") {
  CHECK(parse_switch("true").value());
  CHECK(parse_switch("1").value());
  CHECK_FALSE(parse_switch("false").value());
  CHECK_FALSE(parse_switch("0").value());
  CHECK_FALSE(parse_switch("yes").ok());
  CHECK_FALSE(parse_switch("").ok());
}

TEST_CASE("an ALPN id is text or hex") {
  CHECK(parse_alpn_id("h2").value() == "h2");
  CHECK(parse_alpn_id("hex:d587c9a5").value() == "\xd5\x87\xc9\xa5");
  CHECK(parse_alpn_id("hex:D587C9A5").value() == "\xd5\x87\xc9\xa5");
  CHECK(parse_alpn_id(std::string(255, 'a')).ok());
  for (const std::string text : {"", "hex:", "hex:d", "hex:zz", "hex:0x", "h 2", "\xd5\x87"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_alpn_id(text).ok());
  }
  CHECK_FALSE(parse_alpn_id(std::string(256, 'a')).ok());
}

TEST_CASE("an ALPN id that text cannot carry is shown as hex") {
  CHECK(show_alpn_id("a,b") == "hex:612c62");
  CHECK(show_alpn_id("hex:61") == "hex:6865783a3631");
  CHECK(show_alpn_id(std::string("\0", 1)) == "hex:00");
}

TEST_CASE("lists are split at commas, blanks and empty items left out") {
  CHECK(split_list("a, b ,,c") == std::vector<std::string>{"a", "b", "c"});
  CHECK(split_list("").empty());
  CHECK(split_list(" , ").empty());
}

TEST_CASE("origins may be written the way people type them") {
  const auto shown = [](std::string_view text) {
    const auto url = parse_origin_url(text);
    return url ? show_origin_url(url.value()) : url.error().detail;
  };
  CHECK(shown("http://127.0.0.1:8080") == "http://127.0.0.1:8080");
  CHECK(shown("http://localhost") == "http://localhost:80");
  CHECK(shown("HTTP://App:3000/") == "http://app:3000");
  CHECK(shown("3000") == "http://localhost:3000");
  CHECK(shown(":3000") == "http://localhost:3000");
  CHECK(shown("localhost:3000") == "http://localhost:3000");
  CHECK(shown("[::1]:3000") == "http://[::1]:3000");
  CHECK(shown("unix:/run/app.sock") == "unix:/run/app.sock");
  CHECK(shown("unix:///run/app.sock") == "unix:/run/app.sock");
}

TEST_CASE("what is not an origin is refused with what to write") {
  const auto error = [](std::string_view text) { return parse_origin_url(text).error().detail; };
  CHECK(error("https://localhost:3000") ==
        "\"https://localhost:3000\": https to the origin is not supported; let the application "
        "listen for plain http on loopback or on a Unix socket");
  CHECK(error("localhost") == "\"localhost\" has no port; write http://localhost:PORT");
  CHECK(error("/run/app.sock") == "\"/run/app.sock\" looks like a path; write unix:/run/app.sock");
  CHECK(error("unix:run/app.sock") ==
        "\"run/app.sock\": a Unix socket is named by its whole path, for example "
        "unix:/run/app.sock");
  for (const std::string& text :
       {std::string(), std::string("http://"), std::string("http://a/b"), std::string("http://a:0"),
        std::string("99999"), std::string("0"), std::string("tcp://a:1"),
        std::string("http://a b:1"), std::string("http://127.0.0.300:1"),
        "unix:/" + std::string(107, 'x')}) {
    CAPTURE(text);
    CHECK_FALSE(parse_origin_url(text).ok());
  }
}

TEST_CASE("a URL with a password is refused and not repeated") {
  for (const char* text : {"https://me:hunter2@gw.example", "me:hunter2@gw.example",
                           "wss://me:hunter2@gw.example/x"}) {
    const std::string gateway = parse_gateway_url(text).error().detail;
    CHECK(gateway.find("hunter2") == std::string::npos);
    const std::string origin = parse_origin_url(text).error().detail;
    CHECK(origin.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("the admin address may be a port, an address, a Unix socket, or off") {
  CHECK(parse_listen_address("9600").value() == "127.0.0.1:9600");
  CHECK(parse_listen_address(":9600").value() == ":9600");
  CHECK(parse_listen_address("localhost:9600").value() == "127.0.0.1:9600");
  CHECK(parse_listen_address("127.0.0.1:0").value() == "127.0.0.1:0");
  CHECK(parse_listen_address("[::1]:9600").value() == "[::1]:9600");
  CHECK(parse_listen_address("unix:/run/admin.sock").value() == "unix:/run/admin.sock");
  CHECK(parse_listen_address("off").value().empty());
  for (const char* text : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9600",
                           "admin.example:9600", "http://127.0.0.1:9600", "unix:admin.sock"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_listen_address(text).ok());
  }
}

TEST_CASE("the nearest name is found through typing errors, and only then") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("capacity", "capacity") == 0);
  CHECK(edit_distance("capcity", "capacity") == 1);
  CHECK(edit_distance("cpaacity", "capacity") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  const std::vector<std::string> names{"--capacity", "--config", "--origin"};
  CHECK(nearest_match("--capicity", names) == "--capacity");
  CHECK(nearest_match("--orgin", names) == "--origin");
  CHECK(nearest_match("--verbose", names) == "");
  CHECK(nearest_match("", names) == "");
  CHECK(nearest_match(std::string(100'000, 'x'), names) == "");
}
