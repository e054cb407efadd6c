#include "common/authority.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

using ptth::Authority;
using ptth::parse_authority;
using ptth::parse_served_origin;
using ptth::Scheme;
using ptth::ServedAuthorities;

namespace {

bool matches(const std::vector<std::string>& origins, Scheme scheme, std::string_view text) {
  const auto served = ServedAuthorities::parse(origins);
  REQUIRE(served.ok());
  const auto authority = parse_authority(text);
  REQUIRE(authority.ok());
  return served.value().matches(scheme, authority.value());
}

}  // namespace

TEST_CASE("an authority is a host in lower case and a port, if one is given") {
  const auto expect = [](std::string_view text, std::string_view host, uint16_t port) {
    CAPTURE(text);
    const auto authority = parse_authority(text);
    REQUIRE(authority.ok());
    CHECK(authority.value().host == host);
    CHECK(authority.value().port == port);
  };
  expect("app.example", "app.example", 0);
  expect("App.EXAMPLE:8443", "app.example", 8443);
  expect("localhost:1", "localhost", 1);
  expect("a:65535", "a", 65535);
  expect("127.0.0.1:80", "127.0.0.1", 80);
  expect("my_service-1.x", "my_service-1.x", 0);
  expect("a%C3%A4b", "a%c3%a4b", 0);
  expect("[::1]", "[::1]", 0);
  expect("[::1]:8080", "[::1]", 8080);
  expect("[2001:DB8:0:0::0001]", "[2001:db8::1]", 0);
  expect("[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", 0);
  expect("!$&'()*+;=", "!$&'()*+;=", 0);
  expect(std::string(255, 'a'), std::string(255, 'a'), 0);
}

TEST_CASE("an authority that two readers could take for two is refused") {
  for (const std::string_view text :
       {"",          ":",         ":80",    "a:",       "a:0",  "a:080", "a:65536",
        "a:99999",   "a:100000",  "a:+1",   "a:1a",     "a: 1", "a:1:2", "u@evil",
        "u:p@evil",  "a@b:80",    "a,b",    "a b",      " a",   "a ",    "a/b",
        "a?b",       "a#b",       "a\\b",   "a\"b",     "a<b",  "a^b",   "a|b",
        "a`b",       "a{b",       "a%",     "a%2",      "a%zz", "a%2g",  "[::1",
        "::1",       "[::1]a",    "[::1]:", "[::1]:0",  "[]",   "[:]",   "[::1%25eth0]",
        "[v1.a]",    "[1.2.3.4]", "[::1]]", "[[::1]]",  "a]",   "1.2.3", "1.2.3.4.5",
        "256.1.1.1", "01.2.3.4",  "1",      "1.2.3.4.", ".",    "..",    "\xe4",
        "a\x7f"}) {
    CAPTURE(text);
    const auto authority = parse_authority(text);
    REQUIRE_FALSE(authority.ok());
    CHECK(authority.error().kind == ptth::ErrorKind::kBadRequest);
  }
  for (int byte = 0; byte <= 0x20; ++byte) {
    CAPTURE(byte);
    const std::string text = std::string("a") + static_cast<char>(byte) + "b";
    CHECK_FALSE(parse_authority(text).ok());
    CHECK_FALSE(parse_authority(text + ":80").ok());
    CHECK_FALSE(parse_authority("[::1" + text.substr(1) + "]").ok());
  }
  CHECK_FALSE(parse_authority(std::string(256, 'a')).ok());
}

TEST_CASE("an authority is written as it was parsed") {
  CHECK(to_string(parse_authority("A.b:80").value()) == "a.b:80");
  CHECK(to_string(parse_authority("[::0]").value()) == "[::]");
}

TEST_CASE("a served origin is serialised without the port of its scheme") {
  const auto round_trip = [](std::string_view text) {
    const auto origin = parse_served_origin(text);
    return origin.ok() ? to_string(origin.value()) : origin.error().detail;
  };
  CHECK(round_trip("https://app.example") == "https://app.example");
  CHECK(round_trip("HTTPS://APP.example:443") == "https://app.example");
  CHECK(round_trip("http://app.example:80") == "http://app.example");
  CHECK(round_trip("http://app.example:443") == "http://app.example:443");
  CHECK(round_trip("https://*.Example.com:8443") == "https://*.example.com:8443");
  CHECK(round_trip("https://[::1]:443") == "https://[::1]");
}

TEST_CASE("what is no origin is refused with a hint") {
  for (const std::string_view text : {"",
                                      "app.example",
                                      "://a",
                                      "ftp://a",
                                      "https://",
                                      "https:///",
                                      "https://a/",
                                      "https://a/b",
                                      "https://a?b",
                                      "https://a#b",
                                      "https://u@a",
                                      "https://a,b",
                                      "https://*",
                                      "https://*.",
                                      "https://a.*.b",
                                      "https://*a.b",
                                      "https://*.*.b",
                                      "https://*.1.2.3.4",
                                      "https://*.[::1]",
                                      "https://a:0",
                                      "https://a:b",
                                      "null",
                                      "https://a b"}) {
    CAPTURE(text);
    const auto origin = parse_served_origin(text);
    REQUIRE_FALSE(origin.ok());
    CHECK(origin.error().kind == ptth::ErrorKind::kConfiguration);
    CHECK(origin.error().detail.find("https://app.example") != std::string::npos);
    CHECK_FALSE(ServedAuthorities::parse({"https://a.b", std::string(text)}).ok());
  }
}

TEST_CASE("an empty list serves everything") {
  CHECK(ServedAuthorities().matches_all());
  CHECK(ServedAuthorities().matches(Scheme::kHttp, {"any", 1}));
}

TEST_CASE("a served origin matches its host, and its port however it is said") {
  const std::vector<std::string> list{"https://b.example", "https://app.example",
                                      "https://app.example:8443", "http://c.example"};
  CHECK(matches(list, Scheme::kHttps, "app.example"));
  CHECK(matches(list, Scheme::kHttps, "APP.example:443"));
  CHECK(matches(list, Scheme::kHttps, "app.example:8443"));
  CHECK(matches(list, Scheme::kHttps, "b.example"));
  CHECK(matches(list, Scheme::kHttp, "c.example:80"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "app.example:80"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "b.example:8443"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "app.example."));
  CHECK_FALSE(matches(list, Scheme::kHttps, "x.app.example"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "example"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "127.0.0.1"));
}

TEST_CASE("a gateway that ended TLS may say http for what the user saw as https") {
  const std::vector<std::string> list{"https://app.example"};
  CHECK(matches(list, Scheme::kHttp, "app.example"));
  CHECK(matches(list, Scheme::kHttp, "app.example:443"));
  CHECK(matches(list, Scheme::kHttp, "app.example:80"));
}

TEST_CASE("a port that is named matches whatever the scheme") {
  CHECK(matches({"http://app.example:443"}, Scheme::kHttps, "app.example:443"));
  CHECK(matches({"http://app.example:443"}, Scheme::kHttps, "app.example"));
  CHECK_FALSE(matches({"http://app.example:443"}, Scheme::kHttp, "app.example"));
}

TEST_CASE("a wildcard stands for exactly one label") {
  const std::vector<std::string> list{"https://*.example.com", "https://*.other.com:8443"};
  CHECK(matches(list, Scheme::kHttps, "a.example.com"));
  CHECK(matches(list, Scheme::kHttps, "A.Example.com:443"));
  CHECK(matches(list, Scheme::kHttps, "a.other.com:8443"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "a.other.com"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "example.com"));
  CHECK_FALSE(matches(list, Scheme::kHttps, ".example.com"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "a.b.example.com"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "aexample.com"));
  CHECK_FALSE(matches(list, Scheme::kHttps, "a.example.com:80"));
}
