#include "agent/proxy_environment.h"

#include <map>
#include <string>

#include <doctest/doctest.h>

using ptth::parse_proxy_url;
using ptth::proxy_from_environment;
using ptth::ProxyOptions;

namespace {

using Variables = std::map<std::string, std::string>;

// The proxy for https://HOST:PORT, or "none", or the error.
std::string proxy_for(const Variables& variables, const std::string& host = "gw.example",
                      uint16_t port = 443, bool tls = true) {
  const auto proxy = proxy_from_environment(variables, host, port, tls);
  if (!proxy) return proxy.error().detail;
  if (proxy.value().mode == ProxyOptions::Mode::kNone) return "none";
  return show_proxy(proxy.value());
}

}  // namespace

TEST_CASE("the environment's proxy is found under each of its names, in small letters first") {
  CHECK(proxy_for({}) == "none");
  CHECK(proxy_for({{"HTTPS_PROXY", "http://p:3128"}}) == "http://p:3128");
  CHECK(proxy_for({{"https_proxy", "http://p:3128"}}) == "http://p:3128");
  CHECK(proxy_for({{"https_proxy", "http://small:1"}, {"HTTPS_PROXY", "http://large:1"}}) ==
        "http://small:1");
  CHECK(proxy_for({{"ALL_PROXY", "http://all:1"}}) == "http://all:1");
  CHECK(proxy_for({{"https_proxy", ""}, {"ALL_PROXY", "http://all:1"}}) == "none");
  CHECK(proxy_for({{"https_proxy", "http://p:1"}}, "gw.example", 80, false) == "none");
  CHECK(proxy_for({{"http_proxy", "http://p:1"}}, "gw.example", 80, false) == "http://p:1");
  // A request's "Proxy" field sets it in CGI programs.
  CHECK(proxy_for({{"HTTP_PROXY", "http://p:1"}}, "gw.example", 80, false) == "none");
}

TEST_CASE("a proxy is written in several ways") {
  CHECK(show_proxy(parse_proxy_url("proxy.example").value()) == "http://proxy.example:1080");
  CHECK(show_proxy(parse_proxy_url("proxy.example:3128/").value()) == "http://proxy.example:3128");
  CHECK(show_proxy(parse_proxy_url("HTTPS://Proxy.example").value()) ==
        "https://proxy.example:443");
  CHECK(show_proxy(parse_proxy_url("http://[2001:db8::1]:3128").value()) ==
        "http://[2001:db8::1]:3128");
  const auto with_user = parse_proxy_url("http://user:p%40ss%3a@proxy:1");
  REQUIRE(with_user.ok());
  CHECK(show_proxy(with_user.value()) == "http://proxy:1");
  CHECK(with_user.value().credentials.reveal() == "user:p@ss:");
  CHECK(parse_proxy_url("http://user@proxy:1").value().credentials.reveal() == "user:");
}

TEST_CASE("a proxy that cannot be used is said, without its password") {
  for (const char* url :
       {"socks5://u:secret@p:1", "http://u:secret@", "http://u:secret@p:99999",
        "http://u:secret@p:1/path", "http://u:secret%4@p:1", "http://u:secret@p q:1"}) {
    CAPTURE(url);
    const std::string said = proxy_for({{"HTTPS_PROXY", url}});
    CHECK(said.find("HTTPS_PROXY: ") == 0);
    CHECK(said.find("secret") == std::string::npos);
  }
}

TEST_CASE("what NO_PROXY names is reached directly") {
  const auto is_direct = [](const std::string& list, const std::string& host, uint16_t port = 443) {
    return proxy_for({{"https_proxy", "http://p:1"}, {"NO_PROXY", list}}, host, port) == "none";
  };
  CHECK(is_direct("*", "gw.example"));
  CHECK(is_direct("gw.example", "gw.example"));
  CHECK(is_direct("GW.Example", "gw.example"));
  CHECK(is_direct("example", "gw.example"));
  CHECK(is_direct(".example", "gw.example"));
  CHECK(is_direct("*.example", "gw.example"));
  CHECK(is_direct("other.test, example", "gw.example"));
  CHECK(is_direct("gw.example:443", "gw.example"));
  CHECK_FALSE(is_direct("gw.example:8443", "gw.example"));
  CHECK_FALSE(is_direct("w.example", "gw.example"));
  CHECK_FALSE(is_direct("", "gw.example"));
  CHECK_FALSE(is_direct("other.test", "gw.example"));
  CHECK(is_direct("192.0.2.1", "192.0.2.1"));
  CHECK(is_direct("192.0.2.0/24", "192.0.2.200"));
  CHECK(is_direct("192.0.2.128/25", "192.0.2.200"));
  CHECK_FALSE(is_direct("192.0.2.0/25", "192.0.2.200"));
  CHECK_FALSE(is_direct("192.0.2.0/33", "192.0.2.200"));
  CHECK_FALSE(is_direct("192.0.2.0/", "192.0.2.200"));
  CHECK_FALSE(is_direct("192.0.2.0/24", "192.0.2.example"));
  CHECK(is_direct("0.0.0.0/0", "192.0.2.1"));
  CHECK(is_direct("2001:db8::/32", "2001:db8::7"));
  CHECK_FALSE(is_direct("2001:db8::/32", "2001:db9::7"));
  CHECK_FALSE(is_direct("0.0.0.0/0", "2001:db8::7"));
}

TEST_CASE("loopback is never looked for behind a proxy") {
  for (const char* host : {"localhost", "app.localhost", "127.0.0.1", "127.8.8.8", "::1"}) {
    CAPTURE(host);
    CHECK(proxy_for({{"https_proxy", "http://p:1"}}, host) == "none");
  }
  CHECK(proxy_for({{"https_proxy", "http://p:1"}}, "::2") == "http://p:1");
}
