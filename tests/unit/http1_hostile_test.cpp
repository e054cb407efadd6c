// What no gateway should send over HTTP/1.1, and what becomes of it. After a request whose end two
// readers could see at different places nothing is answered on the connection.

#include "agent/relay/http1_session.h"
#include "tests/support/scripted_http1_gateway.h"

#include <string>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::Milliseconds;
using ptth::ScriptedHttp1Gateway;
using ptth::SessionOptions;
using ptth::Verdict;

namespace {

struct Hostile {
  const char* what;
  std::string request;
  int status;
};

const std::string kStart = "POST / HTTP/1.1\r\nHost: app.example\r\n";

// Each is followed by a request that must never be seen.
const Hostile kHostile[] = {
    {"length and coding", kStart + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"coding and length", kStart + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
    {"two lengths", kStart + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
    {"the same length twice", kStart + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
    {"a list of lengths", kStart + "Content-Length: 5, 5\r\n\r\n", 400},
    {"a length with a sign", kStart + "Content-Length: +5\r\n\r\n", 400},
    {"a length in hexadecimal", kStart + "Content-Length: 0x5\r\n\r\n", 400},
    {"a length below zero", kStart + "Content-Length: -1\r\n\r\n", 400},
    {"a length that overflows", kStart + "Content-Length: 99999999999999999999\r\n\r\n", 400},
    {"an empty length", kStart + "Content-Length:\r\n\r\n", 400},
    {"chunked twice", kStart + "Transfer-Encoding: chunked, chunked\r\n\r\n", 501},
    {"two codings", kStart + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"an unknown coding", kStart + "Transfer-Encoding: xchunked\r\n\r\n", 501},
    {"identity", kStart + "Transfer-Encoding: identity\r\n\r\n", 501},
    {"a coding behind a vertical tab",
     kStart + "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n",
     400},
    {"a coding in HTTP/1.0",
     "POST / HTTP/1.0\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
    {"a folded line", kStart + "X-A: b\r\n folded\r\n\r\n", 400},
    {"a folded line first", "GET / HTTP/1.1\r\n Host: app.example\r\n\r\n", 400},
    {"line feeds alone", "GET / HTTP/1.1\nHost: app.example\n\n", 400},
    {"one line feed alone", kStart + "X-A: b\nX-C: d\r\n\r\n", 400},
    {"a carriage return in a value", kStart + "X-A: b\rX-C: d\r\n\r\n", 400},
    {"a space before the colon", kStart + "Content-Length : 5\r\n\r\n", 400},
    {"a tab before the colon", kStart + "Transfer-Encoding\t: chunked\r\n\r\n", 400},
    {"no name", kStart + ": 5\r\n\r\n", 400},
    {"no colon", kStart + "Content-Length 5\r\n\r\n", 400},
    {"NUL in a value", kStart + std::string("X-A: b\0c\r\n\r\n", 12), 400},
    {"NUL in the target", std::string("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 28), 400},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    {"a Host that is two", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
    {"a Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"a Host with an impossible port", "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400},
    {"a target of another authority", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a target without slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a target with a fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a target with a space", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a star that is no OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a method that is no token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501},
    {"HTTP/0.9", "GET /\r\n\r\n", 400},
    {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    {"HTTP/2's magic", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
    {"http/1.1 in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
    {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15), 400},
    {"an unknown expectation", kStart + "Expect: the unexpected\r\n\r\n", 417},
    {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
};

// What comes in the body of a request that has begun.
const Hostile kHostileBodies[] = {
    {"a chunk size with a sign", "+5\r\nhello\r\n0\r\n\r\n", 400},
    {"a chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n", 400},
    {"a chunk size that overflows", "ffffffffffffffff5\r\n", 400},
    {"a chunk size below zero", "-1\r\n", 400},
    {"no chunk size", "\r\nhello\r\n", 400},
    {"a space behind the chunk size", "5 \r\nhello\r\n0\r\n\r\n", 400},
    {"a chunk size with a line feed alone", "5\nhello\r\n0\r\n\r\n", 400},
    {"an extension with a line feed alone", "5;a\nhello\r\n0\r\n\r\n", 400},
    {"a chunk longer than its size", "5\r\nhello!\r\n0\r\n\r\n", 400},
    {"a chunk that ends with a line feed alone", "5\r\nhello\n0\r\n\r\n", 400},
    {"extensions over the limit", "5;" + std::string(5000, 'a') + "\r\nhello\r\n0\r\n\r\n", 400},
    {"a folded trailer", "0\r\nX-A: b\r\n c\r\n\r\n", 400},
    {"a trailer with a space before the colon", "0\r\nX-A : b\r\n\r\n", 400},
    {"trailers over the limit", "0\r\nX-A: " + std::string(70'000, 'a') + "\r\n\r\n", 431},
};

const std::string kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n";

void check_refused(ScriptedHttp1Gateway& gateway, int status) {
  const std::string answer = gateway.take();
  CHECK(answer.starts_with("HTTP/1.1 " + std::to_string(status) + " "));
  CHECK(answer.find("connection: close\r\n") != std::string::npos);
  CHECK(answer.find("HTTP/1.1", 1) == std::string::npos);  // The only one.
  CHECK(gateway.stream.is_shut_down());
  for (const auto& call : gateway.scripted_origin.calls)
    CHECK(call->head.path != "/smuggled");
  gateway.loop.advance(Milliseconds(2'000));
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.budget.used_bytes == 0);
}

}  // namespace

TEST_CASE(
    "HTTP/1.1: a request that could be read in two ways is refused, and nothing behind it is "
    "read") {
  for (const Hostile& hostile : kHostile) {
    for (const size_t piece : {SIZE_MAX, size_t{1}}) {
      CAPTURE(hostile.what);
      CAPTURE(piece);
      ScriptedHttp1Gateway gateway;
      const std::string text = hostile.request + kSmuggled;
      for (size_t at = 0; at < text.size(); at += std::min(piece, text.size()))
        gateway.send(std::string_view(text).substr(at, piece));
      CHECK(gateway.calls() == 0);
      check_refused(gateway, hostile.status);
      const Verdict verdict =
          hostile.status == 431 ? Verdict::kRequestTooLarge : Verdict::kBadRequest;
      CHECK(gateway.count(verdict) == 1);
      CHECK(gateway.relay_metrics.session_errors.value() == 1);
    }
  }
}

TEST_CASE("HTTP/1.1: a body that could be read in two ways is refused, and its work cancelled") {
  for (const Hostile& hostile : kHostileBodies) {
    CAPTURE(hostile.what);
    ScriptedHttp1Gateway gateway;
    gateway.post("Transfer-Encoding: chunked\r\n", hostile.request + kSmuggled);
    REQUIRE(gateway.calls() == 1);
    CHECK_FALSE(gateway.call().body_ended);
    CHECK(gateway.call().cancelled);
    check_refused(gateway, hostile.status);
  }
}

TEST_CASE("HTTP/1.1: a body that breaks while the answer is under way breaks the connection") {
  ScriptedHttp1Gateway gateway;
  gateway.post("Transfer-Encoding: chunked\r\n", "3\r\none\r\n");
  gateway.call().answer_head(200, BodyKind::kUnknown);
  gateway.call().answer_body("one");
  CHECK(gateway.take().ends_with("3\r\none\r\n"));
  gateway.send("x\r\n" + kSmuggled);
  CHECK(gateway.take().empty());
  CHECK(gateway.stream.is_broken_off());
  CHECK(gateway.calls() == 1);
  CHECK(gateway.count(Verdict::kGatewayProtocol) == 1);
  CHECK(gateway.ended.has_value());
}

TEST_CASE("HTTP/1.1: a body that breaks behind the end of the answer ends the connection") {
  ScriptedHttp1Gateway gateway;
  gateway.post("Transfer-Encoding: chunked\r\n", "3\r\none\r\n");
  gateway.call().answer_head(403, BodyKind::kNone);
  gateway.call().answer_end();
  CHECK(gateway.take().find("HTTP/1.1 403") == 0);
  gateway.send("x\r\n" + kSmuggled);
  CHECK(gateway.calls() == 1);
  CHECK(gateway.stream.is_shut_down());
}

TEST_CASE("HTTP/1.1: heads over the limits are 431, and rules of all versions of HTTP are kept") {
  SessionOptions options;
  options.rules.worker_id = "worker-1";
  options.limits.header_list_bytes = 4096;
  options.limits.header_fields = 32;
  const auto status_of = [&](const std::string& lines) {
    ScriptedHttp1Gateway gateway(options);
    gateway.get("/", lines);
    CHECK(gateway.calls() == 0);
    return gateway.take().substr(9, 3);
  };
  std::string many;
  for (int field = 0; field < 40; ++field)
    many += "X-" + std::to_string(field) + ": a\r\n";
  CHECK(status_of(many) == "431");
  CHECK(status_of("X-A: " + std::string(5000, 'a') + "\r\n") == "431");
  // 32 bytes for each field count too.
  CHECK(status_of("X-A: " + std::string(3950, 'a') + "\r\nX-B: b\r\n") == "431");
  CHECK(status_of("CDN-Loop: worker-1\r\n") == "508");
  CHECK(status_of("Via: 1.1 other, 2.0 worker-1\r\n") == "508");

  ScriptedHttp1Gateway long_target(options);
  long_target.get("/" + std::string(5000, 'a'));
  CHECK(long_target.take().starts_with("HTTP/1.1 431"));
  ScriptedHttp1Gateway trace(options);
  trace.send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(trace.take().starts_with("HTTP/1.1 501"));
  CHECK(trace.calls() == 0);
}

TEST_CASE("HTTP/1.1: a request that is refused whole leaves the connection as it was") {
  SessionOptions options;
  options.rules.worker_id = "worker-1";
  ScriptedHttp1Gateway gateway(options);
  gateway.post("CDN-Loop: worker-1\r\nContent-Length: 5\r\n",
               "GET /GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(gateway.calls() == 1);
  CHECK(gateway.call().head.path == "/next");
  const std::string answer = gateway.take();
  CHECK(answer.starts_with("HTTP/1.1 508"));
  CHECK(answer.find("connection: close") == std::string::npos);
}

TEST_CASE("HTTP/1.1: fields that CGI-style origins take for framing never reach them") {
  ScriptedHttp1Gateway gateway;
  gateway.post("Content_Length: 5\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\n", "hi");
  REQUIRE(gateway.calls() == 1);
  CHECK_FALSE(gateway.call().head.fields.find("content_length").has_value());
  CHECK_FALSE(gateway.call().head.fields.find("transfer_encoding").has_value());
  CHECK(gateway.call().body == "hi");
}

TEST_CASE("HTTP/1.1: a head that does not come whole in time is 408") {
  for (const char* beginning : {"G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: y"}) {
    CAPTURE(beginning);
    ScriptedHttp1Gateway gateway;
    gateway.send(beginning);
    // Another byte now and then does not help.
    for (int second = 0; second < 9; ++second) {
      gateway.loop.advance(Milliseconds(1'000));
      CHECK(gateway.take().empty());
    }
    gateway.send(" ");
    gateway.loop.advance(Milliseconds(1'000));
    const std::string answer = gateway.take();
    const bool is_refused =
        answer.starts_with("HTTP/1.1 408") || answer.starts_with("HTTP/1.1 400");
    CHECK(is_refused);
    CHECK(gateway.stream.is_shut_down());
  }
}

TEST_CASE("HTTP/1.1: a flood of requests waits in the kernel, and costs one exchange at a time") {
  SessionOptions options;
  options.limits.http1.pipelined_bytes = 16'384;
  ScriptedHttp1Gateway gateway(options);
  std::string flood;
  for (int request = 0; request < 2000; ++request)
    flood += "GET /" + std::to_string(request) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  gateway.send(flood);
  CHECK(gateway.calls() == 1);
  CHECK(gateway.session().exchanges_in_flight() == 1);
  CHECK_FALSE(gateway.stream.is_reading());
  for (size_t request = 0; request < 2000; ++request) {
    REQUIRE(gateway.calls() == request + 1);
    CHECK(gateway.call(request).head.path == "/" + std::to_string(request));
    gateway.answer(request, "x");
  }
  CHECK(gateway.stream.is_reading());
  CHECK(gateway.budget.used_bytes == 0);
}

TEST_CASE("HTTP/1.1: a gateway that takes no answers gets no more work done") {
  SessionOptions options;
  options.limits.output_buffer_bytes = 20'000;
  ScriptedHttp1Gateway gateway(options);
  gateway.stream.set_unsent(20'000);
  gateway.get("/1");
  gateway.get("/2");
  CHECK(gateway.calls() == 0);
  gateway.stream.set_unsent(0);
  gateway.loop.turn();
  CHECK(gateway.calls() == 1);
}
