#include "agent/link/hello_spec.h"

#include "agent/link/hello_request.h"
#include "agent/link/profile.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

using ptth::ByteQueue;
using ptth::decode_alpn_id;
using ptth::encode_alpn_id;
using ptth::ErrorKind;
using ptth::HelloDefaults;
using ptth::HelloOptions;
using ptth::HelloPlace;
using ptth::HelloSpec;
using ptth::is_protocol;
using ptth::make_hello_spec;
using ptth::parse_hello_field;
using ptth::parse_hello_status;
using ptth::parse_hello_variable;
using ptth::ptth_hello;
using ptth::Result;
using ptth::reverse_hello;
using ptth::Scheme;
using ptth::Secret;
using ptth::SecretField;
using ptth::ServedAuthorities;
using ptth::write_hello_request;

namespace {

const HelloPlace kPlace{"gw.example", 443, Scheme::kHttps, {}};

ServedAuthorities serving(const std::vector<std::string>& origins) {
  return ServedAuthorities::parse(origins).value();
}

const ServedAuthorities kServed = serving({"https://app.example"});

HelloSpec spec_of(const HelloOptions& options = {}, const HelloDefaults& defaults = ptth_hello(),
                  const HelloPlace& place = kPlace) {
  auto spec = make_hello_spec(defaults, options, place, kServed);
  REQUIRE_MESSAGE(spec.ok(), spec.error().detail);
  return spec.value();
}

std::string refusal(const HelloOptions& options, const HelloDefaults& defaults = ptth_hello(),
                    const HelloPlace& place = kPlace, const ServedAuthorities& served = kServed) {
  const auto spec = make_hello_spec(defaults, options, place, served);
  if (spec.ok()) return "accepted";
  CHECK(spec.error().kind == ErrorKind::kConfiguration);
  return spec.error().detail;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string request_of(const HelloSpec& spec, const std::vector<SecretField>& credentials = {}) {
  ByteQueue out;
  REQUIRE(write_hello_request(spec, spec.uri, credentials, out).ok());
  return {reinterpret_cast<const char*>(out.front().data()), out.size()};
}

}  // namespace

TEST_CASE("ptth: the whole request, as the draft has it") {
  CHECK(request_of(spec_of()) ==
        "GET /.well-known/ptth/https%3A%2F%2Fapp.example/ HTTP/1.1\r\n"
        "host: gw.example\r\n"
        "connection: upgrade\r\n"
        "upgrade: ptth\r\n"
        "alpn: h2\r\n"
        "\r\n");
}

TEST_CASE("reverse: the whole request, at an address on which the gateway is to listen") {
  HelloOptions options;
  options.variables = {"listen_host=0.0.0.0", "listen_port=8080"};
  CHECK(request_of(spec_of(options, reverse_hello())) ==
        "GET /.well-known/reverse/tcp/0.0.0.0/8080/ HTTP/1.1\r\n"
        "host: gw.example\r\n"
        "connection: upgrade\r\n"
        "upgrade: reverse\r\n"
        "alpn: h2\r\n"
        "\r\n");
  CHECK(contains(refusal({}, reverse_hello()), "--hello-variable listen_host="));
}

TEST_CASE("every part of the hello is data") {
  HelloOptions options;
  options.uri_template = "https://gw.example:8443/w{?serialized_origin,tenant,region}";
  options.method = "POST";
  options.token = "PTTH/2";
  options.offer_field = "Protocols";
  options.choice_fields = {"Chosen"};
  options.channels = {"h2", "http/1.1", "\xd5\x87\xc9\xa5"};
  options.statuses = {"101", "200"};
  options.fields = {"X-Pool:  blue", "x-empty:"};
  options.variables = {"tenant=a b"};
  options.origins = serving({"https://b.example:443", "https://c.example:8443"});
  options.redirect_hosts = {"GW2.example"};
  options.redirects_max = 1;
  const HelloSpec spec = spec_of(options);
  CHECK(request_of(spec, {{"authorization", Secret(std::string("Bearer x"))}}) ==
        "POST /w?serialized_origin=https%3A%2F%2Fb.example,https%3A%2F%2Fc.example%3A8443"
        "&tenant=a%20b HTTP/1.1\r\n"
        "host: gw.example:8443\r\n"
        "connection: upgrade\r\n"
        "upgrade: PTTH/2\r\n"
        "protocols: h2, http%2F1.1, %D5%87%C9%A5\r\n"
        "x-pool: blue\r\n"
        "x-empty: \r\n"
        "authorization: Bearer x\r\n"
        "content-length: 0\r\n"
        "\r\n");
  CHECK(spec.choice_fields == std::vector<std::string>{"chosen"});
  CHECK(spec.statuses == std::vector<int>{101, 200});
  CHECK(spec.redirect_hosts == std::vector<std::string>{"gw2.example", "gw.example"});
}

TEST_CASE("a credential that would end its line is not sent") {
  ByteQueue out;
  const HelloSpec spec = spec_of();
  CHECK_FALSE(write_hello_request(spec, spec.uri,
                                  {{"authorization", Secret(std::string("a\r\nb: c"))}}, out)
                  .ok());
  CHECK(out.empty());
}

TEST_CASE("the default template is at the gateway as it is known") {
  CHECK(to_string(spec_of({}, ptth_hello(), {"gw.example", 8443, Scheme::kHttps, {}}).uri) ==
        "https://gw.example:8443/.well-known/ptth/https%3A%2F%2Fapp.example/");
  CHECK(spec_of({}, ptth_hello(), {"192.0.2.1", 8443, Scheme::kHttps, "GW.example"})
            .uri.authority.host == "gw.example");
  CHECK(spec_of({}, ptth_hello(), {"2001:db8::1", 443, Scheme::kHttps, {}}).uri.authority.host ==
        "[2001:db8::1]");
  const HelloPlace cleartext{"gw.example", 80, Scheme::kHttp, {}};
  CHECK(to_string(spec_of({}, ptth_hello(), cleartext).uri).starts_with("http://gw.example/.well"));
}

TEST_CASE("what the gateway is asked is what TLS shows it to be") {
  HelloOptions options;
  options.uri = "https://gw.example:7/a";
  CHECK(spec_of(options).uri.target == "/a");
  CHECK(spec_of(options, ptth_hello(), {"192.0.2.1", 443, Scheme::kHttps, "gw.example"})
            .uri.authority.port == 7);
  options.uri = "https://other.example/a";
  CHECK(contains(refusal(options), "--server-name other.example"));
  options.uri = "http://gw.example/a";
  CHECK(contains(refusal(options), "http://"));
}

TEST_CASE("ptth: a template names the origins, or it is no template of this draft") {
  HelloOptions options;
  options.uri_template = "https://gw.example/fixed";
  CHECK(contains(refusal(options), "{serialized_origin} is missing"));
  options.uri_template = "https://gw.example/{serialised_origin}";
  CHECK(contains(refusal(options), "{serialized_origin} is missing"));
  options.uri_template = "https://gw.example/{+serialized_origin}";
  CHECK(contains(refusal(options), "operator"));
  options.uri_template = "https://gw.example/{serialized_origin}{?unknown}";
  CHECK(refusal(options) == "accepted");
  options.uri = "https://gw.example/";
  CHECK(contains(refusal(options), "keep one"));
}

TEST_CASE("ptth: who serves everything, or a wildcard, has to name origins") {
  CHECK(contains(refusal({}, ptth_hello(), kPlace, {}), "--serve"));
  CHECK(contains(refusal({}, ptth_hello(), kPlace, serving({"https://*.example"})), "wildcard"));
  HelloOptions options;
  options.origins = serving({"https://a.example"});
  CHECK(make_hello_spec(ptth_hello(), options, kPlace, serving({"https://*.example"})).ok());
  CHECK(make_hello_spec(ptth_hello(), options, kPlace, {}).ok());
}

TEST_CASE("fields that the hello writes itself, and credentials, are no settings") {
  for (const char* text :
       {"Host: a", "connection: close", "Upgrade: x", "Content-Length: 5", "transfer-encoding: x",
        "TE: trailers", "Expect: 100-continue", "keep-alive: 5", "content_length: 5", "no colon",
        ": x", "a b: c", "a: b\rc", "a : b", ""}) {
    CAPTURE(text);
    CHECK_FALSE(parse_hello_field(text).ok());
  }
  for (const char* text : {"Authorization: Bearer abc", "proxy-authorization: x", "COOKIE: a=b"}) {
    const auto field = parse_hello_field(text);
    REQUIRE_FALSE(field.ok());
    CHECK(contains(field.error().detail, "credential"));
    CHECK_FALSE(contains(field.error().detail, "abc"));
  }
  CHECK(parse_hello_field("X-A:b: c").value().value == "b: c");
}

TEST_CASE("variables, statuses and protocols have their forms") {
  CHECK(parse_hello_variable("a=b=c").value().value == "b=c");
  CHECK(parse_hello_variable("a=").value().value.empty());
  CHECK_FALSE(parse_hello_variable("a").ok());
  CHECK_FALSE(parse_hello_variable("=a").ok());
  CHECK_FALSE(parse_hello_variable("serialized_origin=https://a.example").ok());
  CHECK(parse_hello_status("101").value() == 101);
  CHECK(parse_hello_status("299").value() == 299);
  for (const char* text : {"", "100", "103", "99", "600", "0101", "2xx", "+200", "20"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_hello_status(text).ok());
  }
  CHECK(is_protocol("ptth"));
  CHECK(is_protocol("PTTH/1.0"));
  for (const char* text : {"", "/", "a/", "/1", "a/1/2", "a b", "a,b"}) {
    CAPTURE(text);
    CHECK_FALSE(is_protocol(text));
  }
}

TEST_CASE("ALPN ids are percent-encoded in fields, to the byte") {
  using namespace std::string_literals;
  CHECK(encode_alpn_id("h2") == "h2");
  CHECK(encode_alpn_id("http/1.1") == "http%2F1.1");
  CHECK(encode_alpn_id("w=x:y#z") == "w%3Dx%3Ay#z");
  CHECK(encode_alpn_id("x%y") == "x%25y");
  CHECK(encode_alpn_id("\0\xd5 "s) == "%00%D5%20");
  for (const auto& id : {"h2"s, "http/1.1"s, "\0\xd5\xff%%"s}) {
    CHECK(decode_alpn_id(encode_alpn_id(id)) == id);
  }
  CHECK(decode_alpn_id("%d5%2f") == "\xd5/");
  for (const char* text : {"", "http/1.1", "%", "%2", "%2g", "%%", "a b", "\"h2\"", "h2,"}) {
    CAPTURE(text);
    CHECK_FALSE(decode_alpn_id(text).has_value());
  }
}
