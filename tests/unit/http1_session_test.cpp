#include "agent/relay/http1_session.h"

#include "tests/support/scripted_http1_gateway.h"

#include <string>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::ErrorKind;
using ptth::FieldList;
using ptth::Milliseconds;
using ptth::ResponseHead;
using ptth::ScriptedHttp1Gateway;
using ptth::SessionOptions;
using ptth::Side;
using ptth::Verdict;

namespace {

FieldList fields(std::initializer_list<ptth::Field> list) {
  FieldList out;
  for (const ptth::Field field : list)
    out.add(field.name, field.value);
  return out;
}

// Names of workers differ in every process; these tests have one.
SessionOptions options() {
  SessionOptions options;
  options.rules.worker_id = "worker-1";
  return options;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("HTTP/1.1: a connection that stays open is attached, or one that brings a request") {
  ScriptedHttp1Gateway patient;
  CHECK_FALSE(patient.attached);
  patient.loop.advance(Milliseconds(200));
  CHECK(patient.attached);

  ScriptedHttp1Gateway busy;
  busy.get();
  CHECK(busy.attached);

  ScriptedHttp1Gateway unwilling;
  unwilling.stream.deliver_end();
  CHECK_FALSE(unwilling.attached);
  REQUIRE(unwilling.ended.has_value());
  CHECK(unwilling.ended->kind == ErrorKind::kClosed);
}

TEST_CASE("HTTP/1.1: a request reaches the origin and its answer the gateway, again and again") {
  ScriptedHttp1Gateway gateway(options());
  gateway.get("/a?b=c", "Accept: */*\r\n");
  REQUIRE(gateway.calls() == 1);
  CHECK(gateway.call().head.method == "GET");
  CHECK(gateway.call().head.path == "/a?b=c");
  CHECK(gateway.call().head.scheme == "https");
  CHECK(gateway.call().head.authority == "app.example");
  CHECK(gateway.call().head.body == BodyKind::kNone);
  CHECK(gateway.call().head.fields.find("accept") == "*/*");
  CHECK(gateway.call().head.fields.find("via") == "1.1 worker-1");
  CHECK(gateway.call().head.fields.find("cdn-loop") == "worker-1");
  CHECK(gateway.call().body_ended);
  gateway.call().answer_head(200, BodyKind::kLength, fields({{"content-length", "5"}}));
  gateway.call().answer_body("hello");
  gateway.call().answer_end();
  CHECK(gateway.take() == "HTTP/1.1 200 OK\r\nvia: 1.1 worker-1\r\ncontent-length: 5\r\n\r\nhello");
  CHECK(gateway.session().exchanges_in_flight() == 0);

  gateway.get("/second");
  REQUIRE(gateway.calls() == 2);
  CHECK(gateway.call(1).head.path == "/second");
  gateway.answer(1, "again");
  CHECK(gateway.take().ends_with("\r\n\r\nagain"));
  CHECK(gateway.count(Verdict::kOk) == 2);
  CHECK_FALSE(gateway.ended.has_value());
}

TEST_CASE("HTTP/1.1: fields that are for the connection end here, nominated ones too") {
  ScriptedHttp1Gateway gateway;
  gateway.get("/",
              "Connection: x-secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
              "TE: trailers, deflate\r\nX-Kept: 2\r\n");
  REQUIRE(gateway.calls() == 1);
  CHECK_FALSE(gateway.call().head.fields.find("x-secret").has_value());
  CHECK_FALSE(gateway.call().head.fields.find("keep-alive").has_value());
  CHECK_FALSE(gateway.call().head.fields.find("connection").has_value());
  CHECK(gateway.call().head.fields.find("te") == "trailers");
  CHECK(gateway.call().head.fields.find("x-kept") == "2");
}

TEST_CASE("HTTP/1.1: any method passes, HEAD and 204 and 304 have no body") {
  ScriptedHttp1Gateway gateway(options());
  gateway.send("PROPFIND /x HTTP/1.1\r\nHost: app.example\r\n\r\n");
  CHECK(gateway.call(0).head.method == "PROPFIND");
  gateway.call(0).answer_head(204, BodyKind::kNone);
  gateway.call(0).answer_end();
  CHECK(gateway.take() == "HTTP/1.1 204 No Content\r\nvia: 1.1 worker-1\r\n\r\n");

  gateway.send("HEAD / HTTP/1.1\r\nHost: app.example\r\n\r\n");
  gateway.call(1).answer_head(200, BodyKind::kNone, fields({{"content-length", "1000"}}));
  gateway.call(1).answer_end();
  CHECK(gateway.take() == "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nvia: 1.1 worker-1\r\n\r\n");

  gateway.get();
  gateway.call(2).answer_head(304, BodyKind::kNone, fields({{"etag", "\"a\""}}));
  gateway.call(2).answer_end();
  CHECK(gateway.take() == "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\nvia: 1.1 worker-1\r\n\r\n");

  gateway.send("OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n");
  CHECK(gateway.call(3).head.path == "*");
}

TEST_CASE("HTTP/1.1: bodies pass both ways, of known length and in chunks, with their trailers") {
  ScriptedHttp1Gateway gateway(options());
  gateway.post("Content-Length: 7\r\n", "one ");
  CHECK(gateway.call(0).head.body == BodyKind::kLength);
  CHECK(gateway.call(0).head.content_length == 7);
  CHECK_FALSE(gateway.call(0).body_ended);
  gateway.send("two");
  CHECK(gateway.call(0).body == "one two");
  CHECK(gateway.call(0).body_ended);
  gateway.answer(0);
  CHECK(gateway.take().ends_with("\r\n\r\nhello"));

  gateway.post("Transfer-Encoding: chunked\r\n",
               "4\r\none \r\n3;a=b\r\ntwo\r\n0\r\nDigest: abc\r\nAuthorization: no\r\n\r\n");
  CHECK(gateway.call(1).head.body == BodyKind::kUnknown);
  CHECK(gateway.call(1).body == "one two");
  CHECK(gateway.call(1).body_ended);
  CHECK(gateway.call(1).trailers.find("digest") == "abc");
  CHECK_FALSE(gateway.call(1).trailers.find("authorization").has_value());
  gateway.call(1).answer_head(200, BodyKind::kUnknown);
  gateway.call(1).answer_body("hel");
  CHECK(gateway.take() ==
        "HTTP/1.1 200 OK\r\nvia: 1.1 worker-1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n");
  gateway.call(1).answer_body("lo");
  gateway.call(1).answer_end(fields({{"digest", "abc"}, {"content-length", "1"}}));
  CHECK(gateway.take() == "2\r\nlo\r\n0\r\ndigest: abc\r\n\r\n");
  CHECK_FALSE(gateway.ended.has_value());
}

TEST_CASE("HTTP/1.1: interim answers pass, and 100-continue is between gateway and origin") {
  ScriptedHttp1Gateway gateway(options());
  gateway.post("Expect: 100-continue\r\nContent-Length: 2\r\n");
  CHECK(gateway.call().head.fields.find("expect") == "100-continue");
  CHECK(gateway.take().empty());
  ResponseHead go_on;
  go_on.status = 100;
  gateway.call().listener->on_interim_response(go_on);
  CHECK(gateway.take() == "HTTP/1.1 100 Continue\r\n\r\n");
  ResponseHead hints;
  hints.status = 103;
  hints.fields.add("link", "</a.css>");
  gateway.call().listener->on_interim_response(hints);
  CHECK(gateway.take() == "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
  gateway.send("ok");
  CHECK(gateway.call().body == "ok");
  gateway.answer(0);
  CHECK_FALSE(contains(gateway.take(), "connection: close"));
  gateway.get();
  CHECK(gateway.calls() == 2);
}

TEST_CASE("HTTP/1.1: a final answer instead of 100 ends the connection: is the body coming?") {
  ScriptedHttp1Gateway gateway;
  gateway.post("Expect: 100-continue\r\nContent-Length: 24\r\n");
  gateway.call().answer_head(413, BodyKind::kNone);
  gateway.call().answer_end();
  CHECK(contains(gateway.take(), "HTTP/1.1 413 Content Too Large\r\n"));
  CHECK(gateway.stream.is_shut_down());
  // The body, or a request that looks like one.
  gateway.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(gateway.calls() == 1);
  CHECK(gateway.take().empty());
}

TEST_CASE("HTTP/1.1: a gateway of HTTP/1.0 gets no chunks, no interim answers, and the end") {
  ScriptedHttp1Gateway gateway(options());
  gateway.send("GET /old HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
  REQUIRE(gateway.calls() == 1);
  CHECK(gateway.call().head.authority.empty());
  CHECK_FALSE(gateway.call().head.fields.find("expect").has_value());
  CHECK(gateway.call().head.fields.find("via") == "1.0 worker-1");
  ResponseHead hints;
  hints.status = 103;
  gateway.call().listener->on_interim_response(hints);
  gateway.call().answer_head(200, BodyKind::kUnknown);
  gateway.call().answer_body("hello");
  CHECK(gateway.take() == "HTTP/1.1 200 OK\r\nvia: 1.1 worker-1\r\nconnection: close\r\n\r\nhello");
  CHECK_FALSE(gateway.stream.is_shut_down());
  gateway.call().answer_end();
  gateway.loop.turn();
  CHECK(gateway.stream.is_shut_down());
  CHECK_FALSE(gateway.stream.is_broken_off());
  gateway.stream.deliver_end();
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.ended->kind == ErrorKind::kClosed);
  CHECK(gateway.ended->retryable);
}

TEST_CASE("HTTP/1.1: a gateway that asks for it is told that the connection closes, and it does") {
  ScriptedHttp1Gateway gateway;
  gateway.get("/", "Connection: close\r\n");
  gateway.answer(0);
  CHECK(contains(gateway.take(), "connection: close\r\n"));
  CHECK(gateway.stream.is_shut_down());
  CHECK_FALSE(gateway.ended.has_value());
  gateway.loop.advance(Milliseconds(1'000));
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.ended->retryable);
}

TEST_CASE("HTTP/1.1: requests that come before their turn wait, and are served in order") {
  ScriptedHttp1Gateway gateway;
  gateway.send(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n"
      "Content-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(gateway.calls() == 1);
  gateway.answer(0, "one");
  REQUIRE(gateway.calls() == 2);
  CHECK(gateway.call(1).body == "hi");
  gateway.answer(1, "two");
  REQUIRE(gateway.calls() == 3);
  gateway.answer(2, "three");
  const std::string all = gateway.take();
  CHECK(all.find("one") < all.find("two"));
  CHECK(all.find("two") < all.find("three"));
  CHECK(gateway.budget.used_bytes == 0);
}

TEST_CASE("HTTP/1.1: requests that wait are counted as buffered, and above a bound not read") {
  SessionOptions bounded = options();
  bounded.limits.http1.pipelined_bytes = 1000;
  ScriptedHttp1Gateway gateway(bounded);
  gateway.get("/first");
  gateway.get("/" + std::string(500, 'x'));
  CHECK(gateway.stream.is_reading());
  CHECK(gateway.budget.used_bytes > 500);
  gateway.get("/" + std::string(500, 'y'));
  CHECK_FALSE(gateway.stream.is_reading());
  gateway.answer(0);
  CHECK(gateway.stream.is_reading());
  gateway.answer(1);
  CHECK(gateway.calls() == 3);
  CHECK(gateway.budget.used_bytes == 0);
}

TEST_CASE("HTTP/1.1: an upload is read no faster than the origin takes it") {
  SessionOptions windowed = options();
  windowed.limits.stream_window_bytes = 1000;
  ScriptedHttp1Gateway gateway(windowed);
  gateway.post("Content-Length: 5000\r\n", std::string(1000, 'x'));
  CHECK(gateway.stream.is_reading());
  gateway.send(std::string(500, 'x'));
  CHECK_FALSE(gateway.stream.is_reading());
  gateway.send(std::string(500, 'x'));  // Was on its way already.
  CHECK(gateway.call().body.size() == 1500);
  CHECK(gateway.budget.used_bytes == 2000);
  gateway.call().take(900);
  CHECK_FALSE(gateway.stream.is_reading());
  gateway.call().take(200);
  gateway.loop.turn();
  CHECK(gateway.stream.is_reading());
  CHECK(gateway.call().body.size() == 2000);
  gateway.call().take(900);
  CHECK(gateway.budget.used_bytes == 0);
}

TEST_CASE("HTTP/1.1: over the budget of the process an upload waits for each piece to be taken") {
  ScriptedHttp1Gateway gateway;
  gateway.budget.limit_bytes = 100;
  gateway.post("Content-Length: 5000\r\n", std::string(200, 'x'));
  CHECK_FALSE(gateway.stream.is_reading());
  gateway.call().take(200);
  gateway.loop.turn();
  CHECK(gateway.stream.is_reading());
}

TEST_CASE("HTTP/1.1: the origin is paused above the response mark while the gateway reads slowly") {
  SessionOptions small = options();
  small.limits.response_buffer_bytes = 10'000;
  small.limits.output_buffer_bytes = 20'000;
  ScriptedHttp1Gateway gateway(small);
  gateway.get();
  gateway.call().answer_head(200, BodyKind::kUnknown);
  gateway.loop.turn();
  gateway.stream.set_unsent(20'000);
  gateway.call().answer_body(std::string(9'000, 'x'));
  gateway.loop.turn();
  CHECK_FALSE(gateway.call().paused);
  gateway.call().answer_body(std::string(2'000, 'x'));
  CHECK(gateway.call().paused);
  const std::string before = gateway.take();
  CHECK_FALSE(contains(before, "xxx"));
  gateway.stream.set_unsent(0);
  gateway.loop.turn();
  CHECK_FALSE(gateway.call().paused);
  CHECK(gateway.take().size() > 11'000);
}

TEST_CASE(
    "HTTP/1.1: an early answer leaves the connection to the next request, if the rest is "
    "short") {
  ScriptedHttp1Gateway gateway;
  gateway.post("Content-Length: 10\r\n", "12345");
  gateway.call().answer_head(403, BodyKind::kNone);
  gateway.call().answer_end();
  gateway.loop.turn();
  CHECK(gateway.call().cancelled);
  const std::string first = gateway.take();
  CHECK(contains(first, "HTTP/1.1 403 Forbidden\r\n"));
  CHECK_FALSE(contains(first, "connection: close"));
  gateway.send("67890GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(gateway.calls() == 2);
  CHECK(gateway.call(1).head.path == "/next");
  gateway.loop.advance(Milliseconds(10'000));
  CHECK_FALSE(gateway.ended.has_value());
  CHECK_FALSE(gateway.stream.is_shut_down());
}

TEST_CASE(
    "HTTP/1.1: behind an early answer a long rest, or one that does not come, is not waited "
    "for") {
  SessionOptions bounded = options();
  bounded.limits.http1.discarded_bytes = 1000;
  SUBCASE("announced to be long") {
    ScriptedHttp1Gateway gateway(bounded);
    gateway.post("Content-Length: 100000\r\n", "12345");
    gateway.call().answer_head(413, BodyKind::kNone);
    gateway.call().answer_end();
    CHECK(contains(gateway.take(), "connection: close\r\n"));
    CHECK(gateway.stream.is_shut_down());
  }
  SUBCASE("found to be long") {
    ScriptedHttp1Gateway gateway(bounded);
    gateway.post("Transfer-Encoding: chunked\r\n", "5\r\n12345\r\n");
    gateway.call().answer_head(413, BodyKind::kNone);
    gateway.call().answer_end();
    CHECK(contains(gateway.take(), "HTTP/1.1 413"));
    gateway.send("300\r\n" + std::string(0x300, 'x') + "\r\n");
    CHECK_FALSE(gateway.stream.is_shut_down());
    gateway.send("300\r\n" + std::string(0x300, 'x') + "\r\n");
    CHECK(gateway.stream.is_shut_down());
  }
  SUBCASE("late") {
    ScriptedHttp1Gateway gateway(bounded);
    gateway.post("Content-Length: 10\r\n", "12345");
    gateway.call().answer_head(403, BodyKind::kNone);
    gateway.call().answer_end();
    gateway.loop.advance(bounded.limits.http1.discard_timeout);
    CHECK(gateway.stream.is_shut_down());
  }
}

TEST_CASE("HTTP/1.1: an answer that begins before the upload has ended goes on beside it") {
  ScriptedHttp1Gateway gateway;
  gateway.post("Transfer-Encoding: chunked\r\n", "3\r\none\r\n");
  gateway.call().answer_head(200, BodyKind::kUnknown);
  gateway.call().answer_body("one");
  CHECK(gateway.take().ends_with("3\r\none\r\n"));
  gateway.send("3\r\ntwo\r\n");
  CHECK(gateway.call().body == "onetwo");
  gateway.call().answer_body("two");
  CHECK(gateway.take() == "3\r\ntwo\r\n");
  gateway.send("0\r\n\r\n");
  CHECK(gateway.call().body_ended);
  gateway.call().answer_end();
  CHECK(gateway.take() == "0\r\n\r\n");
  gateway.get("/next");
  CHECK(gateway.calls() == 2);
}

TEST_CASE("HTTP/1.1: an answer that breaks off breaks the connection, and never ends cleanly") {
  for (const BodyKind body : {BodyKind::kUnknown, BodyKind::kLength}) {
    for (const char* version : {"1.0", "1.1"}) {
      CAPTURE(version);
      ScriptedHttp1Gateway gateway;
      gateway.send("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n\r\n");
      gateway.call().answer_head(200, body, fields({{"content-length", "100"}}));
      gateway.call().answer_body("half");
      CHECK(contains(gateway.take(), "half"));
      gateway.call().fail({ErrorKind::kClosed, Side::kOrigin, "closed"});
      CHECK_FALSE(contains(gateway.take(), "0\r\n\r\n"));
      CHECK(gateway.stream.is_broken_off());
      CHECK_FALSE(gateway.stream.is_shut_down());
      CHECK(gateway.count(Verdict::kOriginClosed) == 1);
      REQUIRE(gateway.ended.has_value());
      CHECK(gateway.ended->retryable);
    }
  }
}

TEST_CASE("HTTP/1.1: an answer that is shorter than it said breaks the connection too") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.call().answer_head(200, BodyKind::kLength, fields({{"content-length", "100"}}));
  gateway.call().answer_body("half");
  gateway.call().answer_end();
  gateway.loop.turn();
  CHECK(gateway.stream.is_broken_off());
  CHECK(gateway.count(Verdict::kOk) == 0);
}

TEST_CASE("HTTP/1.1: an origin that fails is a 502, and the connection goes on") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.call().fail({ErrorKind::kUnreachable, Side::kOrigin, "refused"});
  const std::string answer = gateway.take();
  CHECK(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
  CHECK(contains(answer, "proxy-status: ptth-agent; error=connection_refused"));
  CHECK(answer.ends_with("\r\n\r\nThe origin does not accept connections.\n"));
  CHECK_FALSE(contains(answer, "connection: close"));
  gateway.get();
  CHECK(gateway.calls() == 2);
}

TEST_CASE("HTTP/1.1: an overload is a 503 that says when to come again") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.call().fail({ErrorKind::kOverload, Side::kLocal, "full", true});
  const std::string answer = gateway.take();
  CHECK(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  CHECK(contains(answer, "retry-after: 1\r\n"));
  CHECK(gateway.count(Verdict::kOverload) == 1);
}

TEST_CASE("HTTP/1.1: the end of the connection cancels what is in flight") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.stream.deliver_end();
  gateway.loop.turn();
  CHECK(gateway.call().cancelled);
  CHECK(gateway.count(Verdict::kGatewayClosed) == 1);
  REQUIRE(gateway.ended.has_value());
  CHECK(gateway.ended->kind == ErrorKind::kClosed);
  CHECK(gateway.ended->retryable);
}

TEST_CASE("HTTP/1.1: an idle connection stays for as long as the gateway wants") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.answer(0);
  gateway.loop.advance(Milliseconds(24 * 3'600'000));
  CHECK_FALSE(gateway.ended.has_value());
  CHECK_FALSE(gateway.stream.is_shut_down());
  gateway.get();
  CHECK(gateway.calls() == 2);
}

TEST_CASE("HTTP/1.1: an exchange that the gateway leaves standing is given up") {
  SUBCASE("its upload") {
    ScriptedHttp1Gateway gateway;
    gateway.post("Content-Length: 10\r\n", "1234");
    gateway.call().take(4);
    gateway.loop.advance(Milliseconds(80'000));
    const std::string answer = gateway.take();
    CHECK(answer.starts_with("HTTP/1.1 408"));
    CHECK(contains(answer, "connection: close\r\n"));
    CHECK(gateway.call().cancelled);
    CHECK(gateway.count(Verdict::kGatewayStalled) == 1);
    CHECK(gateway.ended.has_value());
  }
  SUBCASE("its answer") {
    ScriptedHttp1Gateway gateway;
    gateway.get();
    gateway.call().answer_head(200, BodyKind::kUnknown);
    gateway.loop.turn();
    gateway.stream.set_unsent(1'000'000);
    gateway.call().answer_body("later");
    gateway.loop.advance(Milliseconds(80'000));
    CHECK(gateway.call().cancelled);
    CHECK(gateway.stream.is_broken_off());
    CHECK(gateway.ended.has_value());
  }
  SUBCASE("an answer that is written whole") {
    ScriptedHttp1Gateway gateway;
    gateway.get();
    gateway.answer(0);
    gateway.stream.set_unsent(1'000'000);
    gateway.loop.advance(Milliseconds(80'000));
    REQUIRE(gateway.ended.has_value());
    CHECK(gateway.ended->kind == ErrorKind::kTimeout);
  }
}

TEST_CASE("HTTP/1.1: a drain closes an idle connection when nothing comes for a moment") {
  for (const bool has_served : {false, true}) {
    CAPTURE(has_served);
    ScriptedHttp1Gateway gateway;
    if (has_served) {
      gateway.get();
      gateway.answer(0);
    } else {
      gateway.loop.advance(Milliseconds(200));
    }
    gateway.session().drain();
    gateway.loop.advance(Milliseconds(999));
    CHECK_FALSE(gateway.stream.is_shut_down());
    gateway.loop.advance(Milliseconds(1));
    CHECK(gateway.stream.is_shut_down());
    gateway.stream.deliver_end();
    REQUIRE(gateway.ended.has_value());
    CHECK(gateway.ended->kind == ErrorKind::kDraining);
  }
}

TEST_CASE("HTTP/1.1: a drain lets a connection that is not attached yet become so first") {
  ScriptedHttp1Gateway idle;
  idle.session().drain();
  idle.loop.advance(Milliseconds(1'199));
  CHECK_FALSE(idle.stream.is_shut_down());
  idle.loop.advance(Milliseconds(1));
  CHECK(idle.stream.is_shut_down());

  ScriptedHttp1Gateway asked;
  asked.session().drain();
  asked.get("/crossing");
  REQUIRE(asked.calls() == 1);
  asked.answer(0);
  CHECK(contains(asked.take(), "connection: close\r\n"));
  CHECK(asked.stream.is_shut_down());
}

TEST_CASE("HTTP/1.1: a request that crosses a drain is served, and its answer is the last") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.answer(0);
  CHECK_FALSE(contains(gateway.take(), "connection: close"));
  gateway.session().drain();
  gateway.get("/crossing");
  REQUIRE(gateway.calls() == 2);
  // Its time is the origin's, not that of an idle connection.
  gateway.loop.advance(Milliseconds(5'000));
  gateway.answer(1);
  CHECK(contains(gateway.take(), "connection: close\r\n"));
  CHECK(gateway.stream.is_shut_down());
}

TEST_CASE("HTTP/1.1: a drain lets a request end, and its answer says that it is the last") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.session().drain();
  CHECK_FALSE(gateway.stream.is_shut_down());
  gateway.answer(0);
  const std::string answer = gateway.take();
  CHECK(contains(answer, "connection: close\r\n"));
  CHECK(answer.ends_with("hello"));
  CHECK(gateway.stream.is_shut_down());
}

TEST_CASE("HTTP/1.1: a drain serves all that had come, and nothing that comes after it") {
  ScriptedHttp1Gateway gateway;
  gateway.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  gateway.session().drain();
  gateway.get("/3");
  gateway.answer(0, "one");
  const std::string first = gateway.take();
  CHECK_FALSE(contains(first, "connection: close"));
  REQUIRE(gateway.calls() == 2);
  gateway.answer(1, "two");
  CHECK(contains(gateway.take(), "connection: close\r\n"));
  CHECK(gateway.calls() == 2);
  CHECK(gateway.stream.is_shut_down());
  CHECK(gateway.budget.used_bytes == 0);
}

TEST_CASE("HTTP/1.1: a drain waits for a head that has begun, and not longer than any head") {
  ScriptedHttp1Gateway whole;
  whole.send("GET /half HTTP/1.1\r\n");
  whole.session().drain();
  CHECK_FALSE(whole.stream.is_shut_down());
  whole.send("Host: a\r\n\r\n");
  REQUIRE(whole.calls() == 1);
  whole.answer(0);
  CHECK(contains(whole.take(), "connection: close\r\n"));
  CHECK(whole.stream.is_shut_down());

  ScriptedHttp1Gateway never;
  never.send("GET /half HTTP/1.1\r\n");
  never.session().drain();
  never.loop.advance(Milliseconds(10'000));
  CHECK(never.take().starts_with("HTTP/1.1 408"));
  CHECK(never.stream.is_shut_down());
}

TEST_CASE(
    "HTTP/1.1: a drain that comes behind the head of an answer ends the connection after it") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.call().answer_head(200, BodyKind::kUnknown);
  CHECK_FALSE(contains(gateway.take(), "connection: close"));
  gateway.session().drain();
  gateway.call().answer_body("x");
  gateway.call().answer_end();
  CHECK(gateway.take().ends_with("0\r\n\r\n"));
  gateway.loop.advance(Milliseconds(1'000));
  CHECK(gateway.stream.is_shut_down());
}

TEST_CASE("HTTP/1.1: an abort ends the exchange and the connection at once") {
  ScriptedHttp1Gateway gateway;
  gateway.get();
  gateway.call().answer_head(200, BodyKind::kUnknown);
  gateway.call().answer_body("half");
  gateway.loop.turn();
  gateway.session().abort();
  gateway.loop.turn();
  CHECK(gateway.call().cancelled);
  CHECK(gateway.stream.is_broken_off());
  CHECK(gateway.count(Verdict::kAborted) == 1);
  CHECK(gateway.ended.has_value());
}
