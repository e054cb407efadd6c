#include "common/http_rules.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

using ptth::ConnectionOptions;
using ptth::field_rules;
using ptth::FieldId;
using ptth::parse_content_length;

TEST_CASE("a token has the bytes of RFC 9110 section 5.6.2 and no other") {
  const std::string_view symbols = "!#$%&'*+-.^_`|~";
  for (int value = 0; value < 256; ++value) {
    CAPTURE(value);
    const char byte = static_cast<char>(value);
    const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    const bool expected =
        letter || (byte >= '0' && byte <= '9') || symbols.find(byte) != std::string_view::npos;
    CHECK(ptth::is_token(std::string("a") + byte) == expected);
    CHECK(ptth::is_lower_case_token(std::string("a") + byte) ==
          (expected && !(byte >= 'A' && byte <= 'Z')));
  }
  CHECK_FALSE(ptth::is_token(""));
  CHECK_FALSE(ptth::is_lower_case_token(""));
}

TEST_CASE("a field value has no control byte but the tab, at any place") {
  for (size_t size = 1; size <= 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(value);
        const bool expected = value == '\t' || (value >= 0x20 && value != 0x7f);
        if (ptth::is_field_value(text) != expected) FAIL_CHECK(size, " ", at, " ", value);
      }
    }
  }
  CHECK(ptth::is_field_value(""));
  CHECK(ptth::is_field_value("\t\t\t\t\t\t\t\t \xff"));
  CHECK_FALSE(ptth::is_field_value("\t\t\t\t\t\t\t\n"));
}

TEST_CASE("a content length is plain digits that fit") {
  CHECK(parse_content_length("0") == 0);
  CHECK(parse_content_length("0005") == 5);
  CHECK(parse_content_length("9223372036854775807") == INT64_MAX);
  for (const std::string_view text :
       {"", "5, 5", "5,5", "+5", "-0", "0x5", "5 ", " 5", "5\t", "five", "1.0", "1e3", "\xd9\xa5",
        "9223372036854775808", "92233720368547758070", "18446744073709551616"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_content_length(text).has_value());
  }
  CHECK_FALSE(parse_content_length(std::string_view("5\0", 2)).has_value());
}

TEST_CASE("a path is taken as it is, or not at all") {
  for (const std::string_view path :
       {"/", "//x", "/../a", "/a?b=c&d", "/%00%zz", "/a;b:c@d,e", "/\"<>\\^`{|}~", "/?"}) {
    CAPTURE(path);
    CHECK(ptth::is_request_path(path, "GET"));
  }
  for (const std::string_view path : {"", "a", "*", "/a#b", "/#", "/a b", "/a\tb", "/\x7f", "/\x80",
                                      "/\xc3\xa4", "http://a/", "?a", "/a\r\n", "**"}) {
    CAPTURE(path);
    CHECK_FALSE(ptth::is_request_path(path, "GET"));
  }
  CHECK(ptth::is_request_path("*", "OPTIONS"));
  CHECK_FALSE(ptth::is_request_path("*", "options"));
  CHECK_FALSE(ptth::is_request_path("*x", "OPTIONS"));
  CHECK_FALSE(ptth::is_request_path(std::string_view("/\0", 2), "GET"));
}

TEST_CASE("http and https are the schemes") {
  CHECK(ptth::parse_scheme("http") == ptth::Scheme::kHttp);
  CHECK(ptth::parse_scheme("HttpS") == ptth::Scheme::kHttps);
  for (const std::string_view text : {"", "ftp", "httpss", "http:", "ws"})
    CHECK_FALSE(ptth::parse_scheme(text).has_value());
}

TEST_CASE("fields on which we act are known by name, others have no rules") {
  CHECK(field_rules("content-length").id == FieldId::kContentLength);
  CHECK(field_rules("transfer-encoding").id == FieldId::kTransferEncoding);
  CHECK(field_rules("host").id == FieldId::kHost);
  for (const std::string_view name : {"connection", "keep-alive", "proxy-connection", "te",
                                      "transfer-encoding", "upgrade", "http2-settings"}) {
    CAPTURE(name);
    CHECK(field_rules(name).hop_by_hop);
    CHECK(field_rules(name).forbidden_in_trailers);
  }
  for (const std::string_view name : {"content_length", "transfer_encoding"}) {
    CAPTURE(name);
    CHECK(field_rules(name).framing_lookalike);
    CHECK(field_rules(name).id == FieldId::kOther);
  }
  for (const std::string_view name :
       {"", "server", "accept", "etag", "x", "x_content_length", "Content-Length", "content-lengt",
        "server-timing", "grpc-status", "content-digest", "proxy-status", "x-checksum"}) {
    CAPTURE(name);
    CHECK(field_rules(name).id == FieldId::kOther);
    CHECK_FALSE(field_rules(name).hop_by_hop);
    CHECK_FALSE(field_rules(name).forbidden_in_trailers);
    CHECK_FALSE(field_rules(name).framing_lookalike);
  }
}

TEST_CASE("framing, routing, authentication, modifiers and content have no place in trailers") {
  for (const std::string_view name : {"content-length",
                                      "host",
                                      "forwarded",
                                      "x-forwarded-for",
                                      "via",
                                      "authorization",
                                      "proxy-authorization",
                                      "www-authenticate",
                                      "cookie",
                                      "set-cookie",
                                      "cache-control",
                                      "expect",
                                      "max-forwards",
                                      "pragma",
                                      "range",
                                      "if-match",
                                      "if-none-match",
                                      "if-range",
                                      "if-modified-since",
                                      "if-unmodified-since",
                                      "age",
                                      "expires",
                                      "date",
                                      "location",
                                      "retry-after",
                                      "vary",
                                      "warning",
                                      "content-encoding",
                                      "content-type",
                                      "content-range",
                                      "trailer"}) {
    CAPTURE(name);
    CHECK(field_rules(name).forbidden_in_trailers);
  }
}

TEST_CASE("a list gives its members one by one, and skips the empty ones") {
  const auto members = [](std::string_view list) {
    std::string joined;
    while (const auto member = ptth::take_list_member(list))
      joined.append(*member).append("|");
    return joined;
  };
  CHECK(members("") == "");
  CHECK(members(" ,,\t, ") == "");
  CHECK(members("a") == "a|");
  CHECK(members(" a b ,\tc,,d,") == "a b|c|d|");
}

TEST_CASE("Connection is a list of options in any case") {
  ConnectionOptions options;
  CHECK(options.add("Keep-Alive, X-A ,, upgrade"));
  CHECK(options.add(""));
  CHECK(options.add("\tCLOSE\t"));
  CHECK(options.close());
  CHECK(options.keep_alive());
  CHECK(options.upgrade());
  CHECK(options.nominates_fields());
  CHECK(options.nominates("x-a"));
  CHECK_FALSE(options.nominates("x-"));
  CHECK_FALSE(options.nominates(""));
  CHECK_FALSE(options.nominates("upgrade"));
  options.clear();
  CHECK_FALSE(options.close());
  CHECK_FALSE(options.upgrade());
  CHECK_FALSE(options.nominates("x-a"));
  CHECK(options.add("a b"));
  CHECK(options.close());
  CHECK_FALSE(options.nominates_fields());
  options.clear();
  for (size_t count = 0; count < ConnectionOptions::kNominatedMax; ++count)
    CHECK(options.add("x" + std::to_string(count)));
  CHECK_FALSE(options.add("one-more"));
}
