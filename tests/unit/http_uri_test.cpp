#include "common/http_uri.h"

#include <string>

#include <doctest/doctest.h>

using ptth::HttpUri;
using ptth::parse_http_uri;
using ptth::Scheme;

TEST_CASE("a URI falls into scheme, authority and what is asked for") {
  const auto uri = parse_http_uri("HTTPS://GW.Example:8443/a/../b?c=%2f");
  REQUIRE(uri.ok());
  CHECK(uri.value() == HttpUri{Scheme::kHttps, {"gw.example", 8443}, "/a/../b?c=%2f"});
  CHECK(to_string(uri.value()) == "https://gw.example:8443/a/../b?c=%2f");
}

TEST_CASE("what a URI leaves out is the scheme's own port, and the root") {
  CHECK(parse_http_uri("https://gw.example").value().port() == 443);
  CHECK(parse_http_uri("http://gw.example").value().port() == 80);
  CHECK(parse_http_uri("https://[::1]:7").value().port() == 7);
  CHECK(parse_http_uri("https://gw.example").value().target == "/");
  CHECK(parse_http_uri("https://gw.example?a=b").value().target == "/?a=b");
}

TEST_CASE("a URI that cannot be asked for is refused") {
  for (const char* text :
       {"", "gw.example", "/a", "//gw.example/a", "ftp://gw.example/", "https:/a", "https://",
        "https:///a", "https://user@gw.example/", "https://gw:0/", "https://gw:65536/",
        "https://gw.example/#a", "https://gw.example/ a", "https://gw.example/\t",
        "https://gw.example/\xc3\xa4"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_http_uri(text).ok());
  }
}
