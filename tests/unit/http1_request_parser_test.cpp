#include "common/http1_request_parser.h"

#include "tests/support/http1_transcript.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::Bytes;
using ptth::Http1Event;
using ptth::Http1Fault;
using ptth::Http1Limits;
using ptth::Http1RequestParser;
using ptth::Scheme;
using ptth::test::bytes_of;
using ptth::test::cut_everywhere;
using ptth::test::cut_in_two;
using ptth::test::FieldPairs;
using ptth::test::RequestTranscript;
using ptth::test::transcribe;

namespace {

// The verdict on the whole text, after a check that no split of it changes anything.
RequestTranscript parse(std::string_view text, const Http1Limits& limits = {}) {
  Http1RequestParser parser(Scheme::kHttps, limits);
  RequestTranscript whole = transcribe(parser, {text, {}});
  for (size_t at = 0; at <= text.size(); ++at) {
    CAPTURE(at);
    const bool same = transcribe(parser, cut_in_two(text, at)) == whole;
    REQUIRE(same);
  }
  const bool same = transcribe(parser, cut_everywhere(text)) == whole;
  REQUIRE(same);
  return whole;
}

Http1Fault fault_of(std::string_view text, const Http1Limits& limits = {}) {
  const RequestTranscript whole = parse(text, limits);
  CHECK(whole.ended == (whole.fault == Http1Fault::kNone));
  CHECK((whole.ended || !whole.keep_alive_possible));
  CHECK((whole.ended || whole.status >= 400));
  return whole.fault;
}

const std::string kHostLine = "Host: a.example\r\n";

std::string with_line(std::string_view line) {
  return "GET / HTTP/1.1\r\n" + kHostLine + std::string(line) + "\r\n\r\n";
}

std::string with_target(std::string_view target, std::string_view method = "GET") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\n" + kHostLine + "\r\n";
}

std::string with_host(std::string_view host) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}

}  // namespace

TEST_CASE("a request is split into method, authority, path and fields") {
  const auto parsed = parse(
      "GET /a//../b?c=%zz HTTP/1.1\r\nHOST: App.example:8443\r\nAccept: */*\r\nX-A:b\r\n\r\n");
  REQUIRE(parsed.ended);
  REQUIRE(parsed.heads.size() == 1);
  CHECK(parsed.heads[0].method == "GET");
  CHECK(parsed.heads[0].scheme == "https");
  CHECK(parsed.heads[0].authority == "App.example:8443");
  CHECK(parsed.heads[0].path == "/a//../b?c=%zz");
  CHECK(parsed.heads[0].fields == FieldPairs{{"accept", "*/*"}, {"x-a", "b"}});
  CHECK(parsed.heads[0].body == BodyKind::kNone);
  CHECK(parsed.keep_alive_possible);
}

TEST_CASE("the request targets that RFC 9112 section 3.2 gives as examples") {
  const auto origin = parse("GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
  CHECK(origin.heads.at(0).path == "/where?q=now");
  CHECK(origin.heads.at(0).authority == "www.example.org");
  const auto absolute = parse(
      "GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\n"
      "Host: www.example.org\r\n\r\n");
  CHECK(absolute.heads.at(0).path == "/pub/WWW/TheProject.html");
  CHECK(absolute.heads.at(0).authority == "www.example.org");
  CHECK(absolute.heads.at(0).scheme == "http");
  const auto asterisk = parse("OPTIONS * HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n");
  CHECK(asterisk.heads.at(0).path == "*");
  CHECK(asterisk.heads.at(0).authority == "www.example.org:8001");
  const auto to_proxy =
      parse("OPTIONS http://www.example.org:8001 HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n");
  CHECK(to_proxy.heads.at(0).path == "*");
  CHECK(to_proxy.heads.at(0).authority == "www.example.org:8001");
  CHECK(fault_of("CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n") ==
        Http1Fault::kMethodUnsupported);
}

TEST_CASE("a request body has a length or chunks, else there is none") {
  const auto length = parse("PUT / HTTP/1.1\r\n" + kHostLine + "Content-Length: 5\r\n\r\nhello");
  REQUIRE(length.ended);
  CHECK(length.heads.at(0).body == BodyKind::kLength);
  CHECK(length.heads.at(0).content_length == 5);
  CHECK(length.body == "hello");
  const auto empty = parse("POST / HTTP/1.1\r\n" + kHostLine + "Content-Length: 0\r\n\r\n");
  CHECK(empty.heads.at(0).body == BodyKind::kLength);
  CHECK(empty.ended);
  const auto chunked = parse("POST / HTTP/1.1\r\n" + kHostLine +
                             "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n"
                             "X-Sum: 1\r\nAuthorization: x\r\n\r\n");
  REQUIRE(chunked.ended);
  CHECK(chunked.heads.at(0).body == BodyKind::kUnknown);
  CHECK(chunked.body == "abcd");
  CHECK(chunked.trailers == FieldPairs{{"x-sum", "1"}});
  const std::string none = "POST / HTTP/1.1\r\n" + kHostLine + "\r\n";
  const auto parsed = parse(none + "GET");
  CHECK(parsed.heads.at(0).body == BodyKind::kNone);
  CHECK(parsed.bytes_taken == none.size());
}

TEST_CASE("pipelined requests are read one after the other") {
  const std::string text = with_target("/1") + "POST /2 HTTP/1.1\r\n" + kHostLine +
                           "Content-Length: 1\r\n\r\nx\r\n" + with_target("/3");
  Http1RequestParser parser(Scheme::kHttp);
  Bytes input = bytes_of(text);
  for (const std::string_view path : {"/1", "/2", "/3"}) {
    parser.start();
    REQUIRE(parser.next(input) == Http1Event::kHead);
    CHECK(parser.head().path == path);
    CHECK(parser.head().scheme == "http");
    while (parser.next(input) == Http1Event::kBody) {
    }
    CHECK(parser.next(input) == Http1Event::kEnd);
  }
  CHECK(input.empty());
}

TEST_CASE("one empty line before a request is ignored, and is not a request") {
  CHECK(fault_of("\r\n" + with_target("/")) == Http1Fault::kNone);
  CHECK(fault_of("\r\n\r\n" + with_target("/")) == Http1Fault::kStartLine);
  CHECK(fault_of("\n" + with_target("/")) == Http1Fault::kBareLf);
  Http1RequestParser parser(Scheme::kHttps);
  parser.start();
  CHECK(parser.finish() == Http1Event::kEnd);
  Bytes input = bytes_of("\r\n");
  CHECK(parser.next(input) == Http1Event::kNeedMore);
  CHECK_FALSE(parser.started());
  CHECK(parser.finish() == Http1Event::kEnd);
}

TEST_CASE("a malformed request line is refused") {
  for (const std::string_view line : {"GET",
                                      "GET /",
                                      "GET / ",
                                      "GET  / HTTP/1.1",
                                      "GET /  HTTP/1.1",
                                      " GET / HTTP/1.1",
                                      "GET / HTTP/1.1 ",
                                      "GET /a b HTTP/1.1",
                                      "GET\t/ HTTP/1.1",
                                      "GET /\tHTTP/1.1",
                                      "GET / http/1.1",
                                      "GET / HTTP/1",
                                      "GET / HTTP/11",
                                      "GET / HTTP/1.10",
                                      "GET / HTTP/1.x",
                                      "G@T / HTTP/1.1",
                                      "G\xe4T / HTTP/1.1",
                                      " / HTTP/1.1",
                                      "GET / \rHTTP/1.1",
                                      "GET / FOO/1.1",
                                      "HTTP/1.1 200 OK"}) {
    CAPTURE(line);
    CHECK(fault_of(std::string(line) + "\r\n" + kHostLine + "\r\n") == Http1Fault::kStartLine);
  }
  for (const std::string_view version : {"HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/3.1"}) {
    CAPTURE(version);
    const auto parsed = parse("GET / " + std::string(version) + "\r\n" + kHostLine + "\r\n");
    CHECK(parsed.fault == Http1Fault::kVersion);
    CHECK(parsed.status == 505);
  }
  CHECK(fault_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == Http1Fault::kVersion);
  CHECK(parse("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").status == 501);
  CHECK(fault_of("M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1\r\n" + kHostLine + "\r\n") ==
        Http1Fault::kNone);
}

TEST_CASE("a target is in origin form, or in absolute form and split, or \"*\" for OPTIONS") {
  for (const std::string_view target : {"*",
                                        "a",
                                        "?a",
                                        "/#",
                                        "/a#b",
                                        "/\x7f",
                                        "/\x80",
                                        "/\xc3\xa4",
                                        "/a\x01",
                                        "a.example:80",
                                        "ftp://a.example/",
                                        "http:/a.example/",
                                        "http//a.example/",
                                        "http://",
                                        "http:///",
                                        "http:///a",
                                        "http://u@a.example/",
                                        "http://a.example#x",
                                        "http://a.example/#",
                                        "http://a.example:0/",
                                        "http://a,b/",
                                        "://a.example/",
                                        "http://[::1/",
                                        "file:///etc"}) {
    CAPTURE(target);
    CHECK(fault_of(with_target(target)) == Http1Fault::kTarget);
  }
  const auto expect = [](std::string_view target, std::string_view method, std::string_view scheme,
                         std::string_view path) {
    CAPTURE(target);
    const auto parsed = parse(with_target(target, method));
    REQUIRE(parsed.ended);
    CHECK(parsed.heads.at(0).scheme == scheme);
    CHECK(parsed.heads.at(0).path == path);
  };
  expect("http://a.example/b?c", "GET", "http", "/b?c");
  expect("HTTPS://A.example", "GET", "https", "/");
  expect("https://a.example?b", "GET", "https", "/?b");
  expect("http://a.example", "OPTIONS", "http", "*");
  expect("http://a.example/", "OPTIONS", "http", "/");
  expect("http://a.example:80/x", "GET", "http", "/x");
  expect("*", "OPTIONS", "https", "*");
  expect("/http://b/", "GET", "https", "/http://b/");
  expect("//b/", "GET", "https", "//b/");
  CHECK(parse(with_target("https://A.example/")).heads.at(0).authority == "A.example");
}

TEST_CASE("exactly one well-formed Host is wanted, and the target's own") {
  CHECK(fault_of("GET / HTTP/1.1\r\n\r\n") == Http1Fault::kHost);
  CHECK(fault_of(with_line("Host: a.example")) == Http1Fault::kHost);
  CHECK(fault_of(with_line("host: b.example")) == Http1Fault::kHost);
  for (const std::string_view host :
       {"u@evil", "a,b", "a:99999", "[::1", "a b", "a/b", "a:", "http://a", "a, a"}) {
    CAPTURE(host);
    CHECK(fault_of(with_host(host)) == Http1Fault::kHost);
  }
  CHECK(fault_of(with_host("[::1]:80")) == Http1Fault::kNone);
  CHECK(parse(with_host("")).heads.at(0).authority.empty());
  CHECK(fault_of(with_target("http://b.example/")) == Http1Fault::kHost);
  CHECK(fault_of(with_target("http://a.example:443/")) == Http1Fault::kHost);
  CHECK(fault_of("GET http://a.example/ HTTP/1.1\r\nHost:\r\n\r\n") == Http1Fault::kHost);
  CHECK(fault_of("GET http://a.example/ HTTP/1.1\r\n\r\n") == Http1Fault::kHost);
}

TEST_CASE("an HTTP/1.0 request needs no Host and is not kept alive") {
  const auto parsed = parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(parsed.ended);
  CHECK(parsed.heads.at(0).authority.empty());
  CHECK_FALSE(parsed.keep_alive_possible);
  CHECK(fault_of("GET http://a.example/ HTTP/1.0\r\n\r\n") == Http1Fault::kNone);
  CHECK(fault_of("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == Http1Fault::kHost);
  CHECK(fault_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") ==
        Http1Fault::kTransferEncoding);
  const auto length =
      parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx");
  CHECK(length.body == "x");
  CHECK_FALSE(length.heads.at(0).expects_continue);
}

TEST_CASE("a request whose length could be read in two ways is refused") {
  CHECK(fault_of(with_line("Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n") ==
        Http1Fault::kAmbiguousLength);
  CHECK(fault_of(with_line("Transfer-Encoding: chunked\r\nContent-Length: 5") + "0\r\n\r\n") ==
        Http1Fault::kAmbiguousLength);
  CHECK(fault_of(with_line("Content-Length: 5\r\nContent-Length: 5") + "hello") ==
        Http1Fault::kContentLength);
  CHECK(fault_of(with_line("Content-Length: 5, 5") + "hello") == Http1Fault::kContentLength);
  CHECK(fault_of(with_line("Content-Length: +5") + "hello") == Http1Fault::kContentLength);
  for (const std::string_view coding :
       {"gzip, chunked", "chunked, chunked", "identity", "chunked, identity", "xchunked"}) {
    CAPTURE(coding);
    const auto parsed = parse(with_line("Transfer-Encoding: " + std::string(coding)) + "0\r\n\r\n");
    CHECK(parsed.fault == Http1Fault::kTransferEncoding);
    CHECK(parsed.status == 501);
  }
  CHECK(fault_of(with_line("Transfer-Encoding : chunked") + "0\r\n\r\n") == Http1Fault::kFieldName);
  CHECK(fault_of(with_line("Transfer-Encoding\t: chunked") + "0\r\n\r\n") ==
        Http1Fault::kFieldName);
  CHECK(fault_of(with_line("X: y\r\n Transfer-Encoding: chunked")) == Http1Fault::kFolding);
  CHECK(fault_of("GET / HTTP/1.1\r\n " + kHostLine + "\r\n") == Http1Fault::kFolding);
  CHECK(fault_of("GET / HTTP/1.1\n" + kHostLine + "\r\n") == Http1Fault::kBareLf);
  CHECK(fault_of(with_line("X: a\rb")) == Http1Fault::kFieldValue);
  CHECK(fault_of(with_line("X: a\nY: b")) == Http1Fault::kBareLf);
  const auto lookalikes =
      parse(with_line("transfer_encoding: chunked\r\ncontent_length: 5\r\nX-Kept: 1"));
  CHECK(lookalikes.heads.at(0).fields == FieldPairs{{"x-kept", "1"}});
  CHECK(lookalikes.heads.at(0).body == BodyKind::kNone);
}

TEST_CASE("fields of a request for this connection are left out, nominated ones too") {
  const auto parsed = parse(
      with_line("X-Hop: 1\r\nConnection: close, x-hop\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
                "Upgrade: h2c\r\nHTTP2-Settings: x\r\nProxy-Connection: y\r\nCookie: a\r\nVia: b"));
  CHECK(parsed.heads.at(0).fields == FieldPairs{{"cookie", "a"}, {"via", "b"}});
  CHECK_FALSE(parsed.keep_alive_possible);
}

TEST_CASE("Expect: 100-continue is told when a body comes, and other expectations fail") {
  CHECK(parse(with_line("Expect: 100-Continue\r\nContent-Length: 1") + "x")
            .heads.at(0)
            .expects_continue);
  CHECK_FALSE(parse(with_line("Expect: 100-continue")).heads.at(0).expects_continue);
  CHECK(parse(with_line("Expect: 200-ok")).status == 417);
}

TEST_CASE("limits of requests are kept") {
  Http1Limits limits;
  limits.head_bytes = with_target("/").size();
  CHECK(fault_of(with_target("/"), limits) == Http1Fault::kNone);
  CHECK(fault_of("\r\n" + with_target("/"), limits) == Http1Fault::kHeadTooLarge);
  CHECK(parse(with_target("/" + std::string(500, 'a')), limits).status == 431);
  limits = {};
  limits.fields = 1;
  CHECK(fault_of(with_target("/"), limits) == Http1Fault::kNone);
  CHECK(parse(with_line("a: b"), limits).status == 431);
}

TEST_CASE("a request cut short is never a whole one") {
  const std::string whole = "POST / HTTP/1.1\r\n" + kHostLine +
                            "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: 1\r\n\r\n";
  CHECK(fault_of(whole) == Http1Fault::kNone);
  for (size_t size = 1; size < whole.size(); ++size) {
    CAPTURE(size);
    Http1RequestParser parser(Scheme::kHttps);
    CHECK(transcribe(parser, {whole.substr(0, size), {}}).fault == Http1Fault::kUnexpectedEnd);
  }
}
