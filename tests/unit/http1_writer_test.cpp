#include "common/http1_writer.h"

#include "tests/support/http1_transcript.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::ByteQueue;
using ptth::FieldList;
using ptth::Http1Connection;
using ptth::Http1ResponseOptions;
using ptth::RequestHead;
using ptth::ResponseHead;
using ptth::test::text_of;

namespace {

RequestHead request(std::string method, std::string path) {
  RequestHead head;
  head.method = std::move(method);
  head.scheme = "https";
  head.authority = "app.example";
  head.path = std::move(path);
  return head;
}

std::string written(const RequestHead& head, std::string_view host = {}) {
  ByteQueue out;
  const auto result = write_request_head(head, {host}, out);
  if (!result.ok()) {
    CHECK(out.empty());
    CHECK(result.error().kind == ptth::ErrorKind::kInternal);
    return "refused";
  }
  return std::string(text_of(out.front()));
}

std::string written(const ResponseHead& head, const Http1ResponseOptions& options = {}) {
  ByteQueue out;
  const auto result = write_response_head(head, options, out);
  if (!result.ok()) {
    CHECK(out.empty());
    return "refused";
  }
  return std::string(text_of(out.front()));
}

ResponseHead response(int status, BodyKind body, uint64_t length = 0) {
  ResponseHead head;
  head.status = status;
  head.body = body;
  head.content_length = length;
  return head;
}

}  // namespace

TEST_CASE("a request head has Host first and one framing field last") {
  RequestHead head = request("GET", "/a?b=c");
  head.fields.add("accept", "*/*");
  head.fields.add("x-a", "");
  CHECK(written(head) ==
        "GET /a?b=c HTTP/1.1\r\nhost: app.example\r\naccept: */*\r\nx-a: \r\n\r\n");
  head.body = BodyKind::kLength;
  head.content_length = UINT64_MAX;
  CHECK(written(head) ==
        "GET /a?b=c HTTP/1.1\r\nhost: app.example\r\naccept: */*\r\nx-a: \r\n"
        "content-length: 18446744073709551615\r\n\r\n");
  head.body = BodyKind::kUnknown;
  CHECK(written(head) ==
        "GET /a?b=c HTTP/1.1\r\nhost: app.example\r\naccept: */*\r\nx-a: \r\n"
        "transfer-encoding: chunked\r\n\r\n");
}

TEST_CASE("a request without a body says so where a body is expected") {
  CHECK(written(request("POST", "/")) ==
        "POST / HTTP/1.1\r\nhost: app.example\r\ncontent-length: 0\r\n\r\n");
  CHECK(written(request("DELETE", "/")) == "DELETE / HTTP/1.1\r\nhost: app.example\r\n\r\n");
  CHECK(written(request("OPTIONS", "*")) == "OPTIONS * HTTP/1.1\r\nhost: app.example\r\n\r\n");
}

TEST_CASE("Host may be overridden, and is sent empty when there is none") {
  CHECK(written(request("GET", "/"), "other:80") == "GET / HTTP/1.1\r\nhost: other:80\r\n\r\n");
  RequestHead head = request("GET", "/");
  head.authority.clear();
  CHECK(written(head) == "GET / HTTP/1.1\r\nhost: \r\n\r\n");
}

TEST_CASE("an upgrade is asked for by the writer's own fields only") {
  RequestHead head = request("GET", "/");
  head.fields.add("upgrade", "other");
  head.fields.add("connection", "close");
  head.fields.add("te", "trailers");
  ByteQueue out;
  REQUIRE(write_request_head(head, {.host = {}, .upgrade = "ptth"}, out).ok());
  CHECK(text_of(out.front()) ==
        "GET / HTTP/1.1\r\nhost: app.example\r\nconnection: upgrade\r\nupgrade: ptth\r\n"
        "te: trailers\r\nconnection: te\r\n\r\n");
  out.clear();
  CHECK_FALSE(write_request_head(head, {.host = {}, .upgrade = "a\r\nb: c"}, out).ok());
  CHECK(out.empty());
}

TEST_CASE("framing and hop-by-hop fields of a request are not passed on") {
  RequestHead head = request("GET", "/");
  for (const std::string_view name :
       {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te",
        "proxy-connection", "http2-settings", "content_length", "transfer_encoding"}) {
    head.fields.add(name, "1");
  }
  head.fields.add("trailer", "x");
  CHECK(written(head) == "GET / HTTP/1.1\r\nhost: app.example\r\ntrailer: x\r\n\r\n");
  head.fields.add("te", "Trailers");
  CHECK(written(head) ==
        "GET / HTTP/1.1\r\nhost: app.example\r\ntrailer: x\r\n"
        "te: trailers\r\nconnection: te\r\n\r\n");
}

TEST_CASE("a head with a byte that could end a line is not written") {
  const std::string_view nul("a\0b", 3);
  for (const std::string_view bad : {std::string_view("a\rb"), std::string_view("a\nb"), nul}) {
    RequestHead head = request("GET", "/");
    head.fields.add("x", bad);
    CHECK(written(head) == "refused");
    head.fields.clear();
    head.fields.add(bad, "x");
    CHECK(written(head) == "refused");
    CHECK(written(request(std::string(bad), "/")) == "refused");
    CHECK(written(request("GET", "/" + std::string(bad))) == "refused");
    CHECK(written(request("GET", "/"), bad) == "refused");
    head = request("GET", "/");
    head.authority = bad;
    CHECK(written(head) == "refused");
    ResponseHead answer = response(200, BodyKind::kNone);
    answer.fields.add("x", bad);
    CHECK(written(answer) == "refused");
    answer.fields.clear();
    answer.fields.add(bad, "x");
    CHECK(written(answer) == "refused");
  }
  CHECK(written(request("GET", "/ HTTP/1.1")) == "refused");
  CHECK(written(request("GET", "")) == "refused");
  CHECK(written(request("GET", "*")) == "refused");
  CHECK(written(request("G ET", "/")) == "refused");
}

TEST_CASE("a response head is framed by its body") {
  CHECK(written(response(200, BodyKind::kNone)) == "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  CHECK(written(response(299, BodyKind::kLength, 7)) ==
        "HTTP/1.1 299 \r\ncontent-length: 7\r\n\r\n");
  CHECK(written(response(200, BodyKind::kUnknown)) ==
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  CHECK(written(response(204, BodyKind::kNone)) == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(written(response(103, BodyKind::kNone)) == "HTTP/1.1 103 Early Hints\r\n\r\n");
  CHECK(written(response(99, BodyKind::kNone)) == "refused");
}

TEST_CASE("a response tells how the connection goes on") {
  Http1ResponseOptions options;
  options.connection = Http1Connection::kClose;
  CHECK(written(response(200, BodyKind::kLength, 1), options) ==
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n");
  CHECK(written(response(100, BodyKind::kNone), options) == "HTTP/1.1 100 Continue\r\n\r\n");
  options.connection = Http1Connection::kKeepAlive;
  options.http_1_0 = true;
  CHECK(written(response(200, BodyKind::kUnknown), options) ==
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
}

TEST_CASE("the length of a body that is not sent is kept for HEAD and 304 only") {
  ResponseHead head = response(200, BodyKind::kNone);
  head.fields.add("content-length", "5");
  Http1ResponseOptions options;
  CHECK(written(head, options) == "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  options.head_request = true;
  CHECK(written(head, options) == "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  head.status = 304;
  CHECK(written(head) == "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n");
  head.status = 204;
  CHECK(written(head) == "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_CASE("chunks carry their size in hexadecimal, and forbidden trailers are dropped") {
  ByteQueue out;
  ptth::write_chunk_begin(0x1f, out);
  ptth::write_chunk_end(out);
  FieldList trailers;
  trailers.add("x-sum", "1");
  trailers.add("content-length", "1");
  trailers.add("host", "a");
  trailers.add("authorization", "a");
  trailers.add("x", "a\r\nb");
  ptth::write_last_chunk(trailers, out);
  CHECK(text_of(out.front()) == "1f\r\n\r\n0\r\nx-sum: 1\r\n\r\n");
}
