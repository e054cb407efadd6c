#include "agent/discovery_document.h"

#include "agent/config_discovery.h"
#include "agent/found_gateway.h"

#include <string>

#include <doctest/doctest.h>

using ptth::DiscoveryOptions;
using ptth::FoundGateway;
using ptth::GatewayOptions;
using ptth::parse_discovery_document;

namespace {

DiscoveryOptions options_of(const std::string& url = "document:https://control.example/gw.json") {
  DiscoveryOptions options;
  REQUIRE(ptth::parse_discovery(url, options).ok());
  return options;
}

std::string refusal(const std::string& text, const DiscoveryOptions& options) {
  const auto found = parse_discovery_document(text, options);
  return found ? "none" : found.error().detail;
}

std::string refusal_of_gateways(const std::string& list) {
  DiscoveryOptions options = options_of();
  options.gateways_max = 3;
  return refusal(R"({"version": 1, "gateways": )" + list + "}", options);
}

}  // namespace

TEST_CASE("a document says where gateways are, and little else") {
  DiscoveryOptions options = options_of();
  options.allowed_hosts = {"paris.example", "2001:db8::1"};
  const auto found = parse_discovery_document(R"({
    "version": 1,
    "gateways": [
      {"name": "paris", "url": "https://Paris.example", "profile": "ptth", "connections": 3},
      {"name": "v6", "url": "https://[2001:db8::1]:8443"}
    ]
  })",
                                              options);
  REQUIRE(found.ok());
  REQUIRE(found.value().size() == 2);
  const FoundGateway& paris = found.value()[0];
  CHECK(paris.host == "paris.example");
  CHECK(paris.port == 443);
  CHECK(paris.profile == "ptth");
  CHECK(paris.connections == 3U);
  CHECK(found.value()[1].host == "2001:db8::1");
  CHECK(found.value()[1].port == 8443);
}

TEST_CASE("a document with anything wrong in it is refused whole, with the place") {
  CHECK(refusal_of_gateways(R"([{"name": "a", "url": "https://control.example"}])") == "none");
  CHECK(refusal_of_gateways("[]") == "line 1: gateways: there is none");
  CHECK(refusal_of_gateways("{}") == "line 1: gateways: a list is needed");
  CHECK(refusal_of_gateways("[1]") == "line 1: gateways[0]: an object is needed");
  CHECK(refusal_of_gateways("[1, 1, 1, 1]") ==
        "line 1: gateways: 4 are more than discovery.gateways_max (3)");
  CHECK(refusal_of_gateways(R"([{"url": "https://control.example"}])") ==
        "line 1: gateways[0].name: it is missing");
  CHECK(refusal_of_gateways(R"([{"name": "a"}])") == "line 1: gateways[0].url: it is missing");
  CHECK(refusal_of_gateways(R"([{"name": 1, "url": "https://control.example"}])") ==
        "line 1: gateways[0].name: text is needed");
  CHECK(refusal_of_gateways(R"([{"name": "a b", "url": "https://control.example"}])") ==
        "line 1: gateways[0].name: a name has 1 to 64 letters, digits and any of . _ -");
  CHECK(refusal_of_gateways(R"([{"name": "a", "url": "http://control.example"}])") ==
        "line 1: gateways[0].url: http:// is not encrypted");
  CHECK(refusal_of_gateways(R"([{"name": "a", "url": "https://evil.example"}])") ==
        "line 1: gateways[0].url: \"evil.example\" is none of discovery.allowed_hosts");
  CHECK(refusal_of_gateways(R"([{"name": "a", "url": "https://x@control.example"}])") != "none");
  CHECK(
      refusal_of_gateways(R"([{"name": "a", "url": "https://control.example", "profile": "x"}])") ==
      "line 1: gateways[0].profile: \"x\" is no profile that we know");
  for (const char* wrong : {"0", "257", "1.5", "-1", "\"2\"", "[]", "null"}) {
    CAPTURE(wrong);
    CHECK(
        refusal_of_gateways(R"([{"name": "a", "url": "https://control.example", "connections": )" +
                            std::string(wrong) + "}]") ==
        "line 1: gateways[0].connections: a number from 1 to 256 is needed");
  }
  CHECK(refusal_of_gateways(R"([{"name": "a", "url": "https://control.example"},
                                {"name": "a", "url": "https://control.example:8443"}])") ==
        "line 2: gateways[1].name: a second gateway called \"a\"");
}

TEST_CASE("a document cannot set files, origins or what we do not know") {
  for (const char* key : {"origin", "tls", "auth", "token_file", "proxy", "serve", "hello"}) {
    CAPTURE(key);
    CHECK(refusal_of_gateways(R"([{"name": "a", "url": "https://control.example", ")" +
                              std::string(key) + R"(": "x"}])") ==
          "line 1: gateways[0]: unknown key \"" + std::string(key) + "\"");
    const std::string at_the_top = R"({"version": 1, ")" + std::string(key) + R"(": "x"})";
    CHECK(refusal(at_the_top, options_of()) == "line 1: unknown key \"" + std::string(key) + "\"");
  }
}

TEST_CASE("a document of another version, of another shape or of too many bytes is refused") {
  CHECK(refusal(R"({"gateways": []})", options_of()) == "line 1: version: it is missing");
  CHECK(refusal(R"({"version": 2})", options_of()) == "line 1: version: only 1 is known");
  CHECK(refusal(R"({"version": "1"})", options_of()) == "line 1: version: only 1 is known");
  CHECK(refusal("[]", options_of()).starts_with("line 1: an object is needed"));
  CHECK(refusal("<html>", options_of()).starts_with("line 1: not JSON"));
  CHECK(refusal("", options_of()) != "none");
  DiscoveryOptions small = options_of();
  small.document_bytes_max = 64;
  CHECK(refusal(std::string(65, ' '), small) == "larger than 64B");
}

TEST_CASE("what is found takes all else from the configuration that asked for it") {
  GatewayOptions asked;
  asked.name = "edge";
  asked.profile = "ptth";
  asked.auth.token_file = "/run/token";
  asked.connections = 2;
  asked.discovery = options_of("srv:_ptth._tcp.example.com");
  FoundGateway found;
  found.name = "gw1.example.net:8443";
  found.host = "gw1.example.net";
  found.port = 8443;
  found.server_name = "example.com";
  const auto serve = ptth::ServedAuthorities::parse({"https://app.example"}).value();
  const auto gateway = to_gateway(asked, found, serve, {});
  REQUIRE(gateway.ok());
  CHECK(gateway.value().name == "edge.gw1.example.net:8443");
  CHECK(gateway.value().host == "gw1.example.net");
  CHECK(gateway.value().server_name == "example.com");
  CHECK(gateway.value().auth.token_file == "/run/token");
  CHECK(gateway.value().connections == 2);
  CHECK(gateway.value().discovery == DiscoveryOptions());

  asked.server_name = "named.example";
  CHECK(to_gateway(asked, found, serve, {}).value().server_name == "named.example");
  // A profile that cannot carry the token.
  found.profile = "haproxy";
  CHECK_FALSE(to_gateway(asked, found, serve, {}).ok());
  found.profile.clear();
  found.alpn = {"h2"};
  CHECK_FALSE(to_gateway(asked, found, serve, {}).ok());
  found.alpn = {"h2", "http/1.1"};
  CHECK(to_gateway(asked, found, serve, {}).ok());
}
