#include "common/http1_response_parser.h"

#include "tests/support/http1_transcript.h"

#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::Bytes;
using ptth::Http1Event;
using ptth::Http1Fault;
using ptth::Http1Limits;
using ptth::Http1ResponseParser;
using ptth::test::bytes_of;
using ptth::test::cut_everywhere;
using ptth::test::cut_in_two;
using ptth::test::FieldPairs;
using ptth::test::Pieces;
using ptth::test::ResponseTranscript;
using ptth::test::StreamEnd;
using ptth::test::transcribe;
using Request = ptth::Http1ResponseParser::Request;

namespace {

// The verdict on the whole text, after a check that no split of it changes anything.
ResponseTranscript parse(std::string_view text, Request request = Request::kOther,
                         const Http1Limits& limits = {}) {
  Http1ResponseParser parser(limits);
  ResponseTranscript whole = transcribe(parser, request, {text, {}});
  for (size_t at = 0; at <= text.size(); ++at) {
    CAPTURE(at);
    const bool same = transcribe(parser, request, cut_in_two(text, at)) == whole;
    REQUIRE(same);
  }
  const bool same = transcribe(parser, request, cut_everywhere(text)) == whole;
  REQUIRE(same);
  return whole;
}

Http1Fault fault_of(std::string_view text, Request request = Request::kOther,
                    const Http1Limits& limits = {}) {
  const ResponseTranscript whole = parse(text, request, limits);
  CHECK(whole.ended == (whole.fault == Http1Fault::kNone));
  CHECK((whole.ended || !whole.keep_alive_possible));
  return whole.fault;
}

const std::string kOkLine = "HTTP/1.1 200 OK\r\n";

// A head with this field line and an empty body.
std::string with_line(std::string_view line) {
  return kOkLine + std::string(line) + "\r\nContent-Length: 0\r\n\r\n";
}

std::string with_chunks(std::string_view chunks) {
  return kOkLine + "Transfer-Encoding: chunked\r\n\r\n" + std::string(chunks);
}

}  // namespace

TEST_CASE("an answer with a length ends where it says, with its fields in lower case") {
  const auto parsed = parse(
      "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type:text/plain\r\nX-A: \t b c \t\r\n"
      "X-Empty:\r\nContent-Length: 5\r\n\r\nhello");
  REQUIRE(parsed.ended);
  REQUIRE(parsed.heads.size() == 1);
  CHECK(parsed.heads[0].status == 200);
  CHECK(parsed.heads[0].body == BodyKind::kLength);
  CHECK(parsed.heads[0].content_length == 5);
  CHECK(parsed.heads[0].fields == FieldPairs{{"server", "nginx"},
                                             {"content-type", "text/plain"},
                                             {"x-a", "b c"},
                                             {"x-empty", ""},
                                             {"content-length", "5"}});
  CHECK(parsed.body == "hello");
  CHECK(parsed.keep_alive_possible);
}

TEST_CASE("the answer to the example of RFC 9112 section 2.1, as RFC 9110 section 3.9 has it") {
  const auto parsed = parse(
      "HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nServer: Apache\r\n"
      "Last-Modified: Wed, 22 Jul 2009 19:15:56 GMT\r\nETag: \"34aa387-d-1568eb00\"\r\n"
      "Accept-Ranges: bytes\r\nContent-Length: 51\r\nVary: Accept-Encoding\r\n"
      "Content-Type: text/plain\r\n\r\n"
      "Hello World! My content includes a trailing CRLF.\r\n");
  REQUIRE(parsed.ended);
  CHECK(parsed.heads.at(0).fields.size() == 8);
  CHECK(parsed.heads.at(0).fields.at(3) ==
        std::pair<std::string, std::string>("etag", "\"34aa387-d-1568eb00\""));
  CHECK(parsed.body == "Hello World! My content includes a trailing CRLF.\r\n");
  CHECK(parsed.keep_alive_possible);
}

TEST_CASE("bytes behind an answer are left in the input") {
  const std::string answer = kOkLine + "Content-Length: 2\r\n\r\nok";
  const auto parsed = parse(answer + "HTTP/1.1 200 OK\r\n");
  CHECK(parsed.ended);
  CHECK(parsed.bytes_taken == answer.size());
  const auto chunked = parse(with_chunks("2\r\nok\r\n0\r\n\r\nX"));
  CHECK(chunked.ended);
  CHECK(chunked.bytes_taken == with_chunks("2\r\nok\r\n0\r\n\r\n").size());
}

TEST_CASE("a chunked answer gives its bytes without framing, and its trailers") {
  const auto parsed = parse(with_chunks(
      "5\r\nhello\r\n6;a=b;c=\"d\\\" e\"\r\n world\r\n0\r\nX-Sum: 1\r\nETag: x\r\n\r\n"));
  REQUIRE(parsed.ended);
  CHECK(parsed.heads.at(0).body == BodyKind::kUnknown);
  CHECK(parsed.heads.at(0).fields.empty());
  CHECK(parsed.body == "hello world");
  CHECK(parsed.trailers == FieldPairs{{"x-sum", "1"}, {"etag", "x"}});
  CHECK(parsed.keep_alive_possible);
}

TEST_CASE("body bytes are views of the input") {
  Http1ResponseParser parser;
  parser.start(Request::kOther);
  const std::string text = kOkLine + "Content-Length: 4\r\n\r\nbody";
  Bytes input = bytes_of(text);
  REQUIRE(parser.next(input) == Http1Event::kHead);
  REQUIRE(parser.next(input) == Http1Event::kBody);
  CHECK(parser.body().data() == bytes_of(text).data() + text.size() - 4);
  REQUIRE(parser.next(input) == Http1Event::kEnd);
  CHECK(input.empty());
}

TEST_CASE("an answer without framing ends with the stream and is never kept alive") {
  const auto parsed = parse(kOkLine + "Date: now\r\n\r\nabc");
  REQUIRE(parsed.ended);
  CHECK(parsed.heads.at(0).body == BodyKind::kUnknown);
  CHECK(parsed.body == "abc");
  CHECK_FALSE(parsed.keep_alive_possible);
}

TEST_CASE("HTTP/1.0 is accepted, and never kept alive whatever it claims") {
  const auto until_close = parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nabc");
  REQUIRE(until_close.ended);
  CHECK(until_close.body == "abc");
  CHECK_FALSE(until_close.keep_alive_possible);
  const auto length =
      parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc");
  REQUIRE(length.ended);
  CHECK(length.body == "abc");
  CHECK_FALSE(length.keep_alive_possible);
  CHECK(fault_of("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") ==
        Http1Fault::kTransferEncoding);
  CHECK(fault_of("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nab") == Http1Fault::kUnexpectedEnd);
}

TEST_CASE("Connection: close forbids reuse, in any list and any case") {
  CHECK_FALSE(parse(with_line("Connection: close")).keep_alive_possible);
  CHECK_FALSE(parse(with_line("Connection: keep-alive, CLOSE")).keep_alive_possible);
  CHECK_FALSE(parse(with_line("connection: x\r\nConnection: ,Close ,")).keep_alive_possible);
  CHECK(parse(with_line("Connection: keep-alive")).keep_alive_possible);
  CHECK(parse(with_line("Connection: closed")).keep_alive_possible);
}

TEST_CASE("answers to HEAD, 204, 304 and 1xx have no body, whatever they claim") {
  const std::string length = "Content-Length: 5\r\n\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& framing : {length, chunked, std::string("\r\n")}) {
    CAPTURE(framing);
    const std::string head = "HTTP/1.1 200 OK\r\n" + framing;
    const auto to_head = parse(head + "12345", Request::kHead);
    CHECK(to_head.ended);
    CHECK(to_head.body.empty());
    CHECK(to_head.bytes_taken == head.size());
    CHECK(to_head.heads.at(0).body == BodyKind::kNone);
    CHECK(to_head.keep_alive_possible);
    for (const std::string status : {"204", "304"}) {
      const auto parsed = parse("HTTP/1.1 " + status + " X\r\n" + framing + "12345");
      CHECK(parsed.ended);
      CHECK(parsed.body.empty());
      CHECK(parsed.bytes_taken == head.size() - 1);
      CHECK(parsed.heads.at(0).body == BodyKind::kNone);
    }
    const auto interim = parse("HTTP/1.1 103 X\r\n" + framing + "HTTP/1.1 204 X\r\n\r\n");
    CHECK(interim.ended);
    CHECK(interim.interim.size() == 1);
    CHECK(interim.heads.at(0).status == 204);
  }
}

TEST_CASE("content-length is passed on where it tells something: to HEAD and with 304 only") {
  const FieldPairs length{{"content-length", "5"}};
  CHECK(parse(kOkLine + "Content-Length: 5\r\n\r\n", Request::kHead).heads.at(0).fields == length);
  CHECK(parse("HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n").heads.at(0).fields == length);
  CHECK(parse("HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n").heads.at(0).fields.empty());
  const auto interim =
      parse("HTTP/1.1 103 X\r\nContent-Length: 5\r\nLink: a\r\n\r\nHTTP/1.1 204 X\r\n\r\n");
  CHECK(interim.interim.at(0).fields == FieldPairs{{"link", "a"}});
}

TEST_CASE("interim answers come before the final one, each with its own fields") {
  const auto parsed = parse(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\n\r\nz");
  REQUIRE(parsed.ended);
  REQUIRE(parsed.interim.size() == 2);
  CHECK(parsed.interim[0].status == 100);
  CHECK(parsed.interim[0].fields.empty());
  CHECK(parsed.interim[1].status == 103);
  CHECK(parsed.interim[1].fields == FieldPairs{{"link", "</a>"}});
  CHECK(parsed.heads.at(0).fields == FieldPairs{{"x", "y"}, {"content-length", "1"}});
}

TEST_CASE("101 ends HTTP/1.1 for who asked for it, and is out of place for all others") {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: ptth\r\n"
      "Connection: Keep-Alive, Upgrade\r\nALPN: h2\r\nContent-Length: 5\r\n\r\nfirst bytes";
  CHECK(fault_of(text) == Http1Fault::kStatus);
  CHECK(fault_of(text, Request::kHead) == Http1Fault::kStatus);
  const auto parsed = parse(text, Request::kUpgrade);
  REQUIRE(parsed.ended);
  CHECK(parsed.interim.size() == 1);
  CHECK(parsed.heads.at(0).status == 101);
  CHECK(parsed.heads.at(0).fields == FieldPairs{{"alpn", "h2"}});
  CHECK(parsed.body.empty());
  CHECK_FALSE(parsed.keep_alive_possible);
  CHECK(parsed.bytes_taken == text.size() - std::string("first bytes").size());

  CHECK(fault_of("HTTP/1.0 101 x\r\n\r\n", Request::kUpgrade) == Http1Fault::kStatus);
  CHECK(fault_of("HTTP/1.1 101 x\r\nTransfer-Encoding: chunked\r\n\r\n", Request::kUpgrade) ==
        Http1Fault::kTransferEncoding);
  CHECK(parse(with_chunks("1\r\na\r\n0\r\n\r\n"), Request::kUpgrade).body == "a");
}

TEST_CASE("Upgrade is one list, and means nothing without its Connection option") {
  const auto upgrade_of = [](std::string_view fields) {
    const std::string text = "HTTP/1.1 426 x\r\n" + std::string(fields) + "\r\n";
    Http1ResponseParser parser;
    parser.start(Request::kUpgrade);
    Bytes input = bytes_of(text);
    REQUIRE(parser.next(input) == Http1Event::kHead);
    return std::string(parser.upgrade());
  };
  CHECK(upgrade_of("Upgrade: a/1\r\nConnection: x, UPGRADE\r\nUpgrade: b, c\r\n") == "a/1, b, c");
  CHECK(upgrade_of("Upgrade: a\r\n") == "");
  CHECK(upgrade_of("Upgrade: a\r\nConnection: upgraded\r\n") == "");
  CHECK(upgrade_of("Connection: upgrade\r\n") == "");
}

TEST_CASE("fields for this connection are left out, nominated ones too") {
  const auto parsed = parse(
      "HTTP/1.1 200 OK\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n"
      "Connection: keep-alive, X-Secret\r\nUpgrade: h2c\r\nTE: trailers\r\nx-kept: 2\r\n"
      "Host: a b\r\nConnection: X-Other, content-length\r\nx-other: 3\r\ntransfer_encoding: "
      "chunked\r\n"
      "content_length: 7\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(parsed.ended);
  CHECK(parsed.heads.at(0).fields ==
        FieldPairs{{"x-kept", "2"}, {"host", "a b"}, {"content-length", "0"}});
  CHECK_FALSE(parse(with_line("Connection: keep-alive; a=b")).keep_alive_possible);
  CHECK(fault_of(with_line("Connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a")) ==
        Http1Fault::kConnection);
}

TEST_CASE("an ambiguous or malformed length is refused") {
  for (const std::string_view value :
       {"", "5, 5", "5,5", "+5", "-5", "0x5", "5 5", "5;", "1e1", "9223372036854775808",
        "18446744073709551621", "99999999999999999999999"}) {
    CAPTURE(value);
    CHECK(fault_of(kOkLine + "Content-Length: " + std::string(value) + "\r\n\r\nhello") ==
          Http1Fault::kContentLength);
  }
  CHECK(fault_of(kOkLine + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello") ==
        Http1Fault::kContentLength);
  CHECK(fault_of(kOkLine + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello") ==
        Http1Fault::kContentLength);
  const std::string both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  CHECK(fault_of(kOkLine + both) == Http1Fault::kAmbiguousLength);
  CHECK(fault_of("HTTP/1.1 204 X\r\n" + both) == Http1Fault::kAmbiguousLength);
  CHECK(fault_of(kOkLine + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
                 Request::kHead) == Http1Fault::kAmbiguousLength);
}

TEST_CASE("a transfer coding other than one chunked is refused") {
  for (const std::string_view value :
       {"", "gzip", "identity", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked,",
        "chunked;q=1", "\"chunked\"", "xchunked",
        // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one text; \x0bc would be one byte.
        "\x0b"
        "chunked",
        "chunked\x0b"}) {
    CAPTURE(value);
    CHECK(fault_of(kOkLine + "Transfer-Encoding: " + std::string(value) + "\r\n\r\n0\r\n\r\n") !=
          Http1Fault::kNone);
  }
  CHECK(fault_of(kOkLine +
                 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") ==
        Http1Fault::kTransferEncoding);
  CHECK(fault_of(kOkLine + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n") == Http1Fault::kNone);
}

TEST_CASE("a malformed status line is refused") {
  for (const std::string_view line :
       {"", " HTTP/1.1 200 OK", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK",
        "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1 2x0 OK",
        "HTTP/1.1 +20 OK", "http/1.1 200 OK", "HTTP/1.1 200 O\x01K", "HTTP/1.1 200 O\rK",
        "ICY 200 OK", "SSH-2.0-OpenSSH", "GET / HTTP/1.1", "HTTP 1.1 200 OK"}) {
    CAPTURE(line);
    CHECK(fault_of(std::string(line) + "\r\nContent-Length: 0\r\n\r\n") == Http1Fault::kStartLine);
  }
  for (const std::string_view line :
       {"HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/0.9 200 OK", "HTTP/2 200", "HTTP/1,1 200 OK"}) {
    CAPTURE(line);
    CHECK(fault_of(std::string(line) + "\r\nContent-Length: 0\r\n\r\n") == Http1Fault::kVersion);
  }
  for (const std::string_view status : {"000", "099", "101", "600", "999"}) {
    CAPTURE(status);
    CHECK(fault_of("HTTP/1.1 " + std::string(status) + " X\r\nContent-Length: 0\r\n\r\n") ==
          Http1Fault::kStatus);
  }
  CHECK(fault_of("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n") == Http1Fault::kNone);
  CHECK(fault_of("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n") == Http1Fault::kNone);
  CHECK(fault_of("HTTP/1.1 599 \xc3\xa4\tb\r\nContent-Length: 0\r\n\r\n") == Http1Fault::kNone);
}

TEST_CASE("bare LF, folding and malformed fields are refused") {
  CHECK(fault_of("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n") == Http1Fault::kBareLf);
  CHECK(fault_of(kOkLine + "Content-Length: 0\n\r\n") == Http1Fault::kBareLf);
  CHECK(fault_of(kOkLine + "Content-Length: 0\r\n\n") == Http1Fault::kBareLf);
  CHECK(fault_of("\n" + with_line("a: b")) == Http1Fault::kBareLf);
  CHECK(fault_of("\r\n" + with_line("a: b")) == Http1Fault::kStartLine);
  CHECK(fault_of(with_line("a: b\r\n c")) == Http1Fault::kFolding);
  CHECK(fault_of(with_line("a: b\r\n\tc")) == Http1Fault::kFolding);
  CHECK(fault_of(with_line(" a: b")) == Http1Fault::kFolding);
  for (const std::string_view line :
       {"a", ":", ": b", "a : b", "a\t: b", "a b: c", "a(: b", "\"a\": b", "\xe4: b", "a\x7f: b",
        "a/b: c", "[a]: b", "a\r: b", "a\x01: b"}) {
    CAPTURE(line);
    CHECK(fault_of(with_line(line)) == Http1Fault::kFieldName);
  }
  CHECK(fault_of(with_line(std::string_view("a\0: b", 5))) == Http1Fault::kFieldName);
  for (int byte = 0; byte < 256; ++byte) {
    CAPTURE(byte);
    if (byte == '\n') continue;
    for (const std::string_view value : {"@", "a@b", "0123456@9abcdef", "0123456789abcde@"}) {
      std::string line = "x: v" + std::string(value) + "w";
      line.replace(line.find('@'), 1, 1, static_cast<char>(byte));
      const bool allowed = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
      const Http1Fault expected = allowed ? Http1Fault::kNone : Http1Fault::kFieldValue;
      Http1ResponseParser parser;
      CHECK(transcribe(parser, Request::kOther, {with_line(line), {}}).fault == expected);
    }
  }
}

TEST_CASE("malformed chunks are refused") {
  for (const std::string_view size :
       {"", " ", "g", "-1", "+1", "0x1", " 1", "1 ", "1\t", "1_0", "10000000000000000",
        "ffffffffffffffff", "8000000000000000", "00000000000000001", "1\r", "1,"}) {
    CAPTURE(size);
    CHECK(fault_of(with_chunks(std::string(size) + "\r\na\r\n0\r\n\r\n")) ==
          Http1Fault::kChunkSize);
  }
  for (const std::string_view extension :
       {";", "; a", ";a =b", ";a= b", ";a=", ";a=b c", ";a=\"b\"c", ";a=\"b\x01\"", ";a=b=c",
        ";a\r", ";;", ";\"a\"", ";a=\"b\\\x01\""}) {
    CAPTURE(extension);
    CHECK(fault_of(with_chunks("1" + std::string(extension) + "\r\na\r\n0\r\n\r\n")) !=
          Http1Fault::kNone);
  }
  CHECK(fault_of(with_chunks("1\na\r\n0\r\n\r\n")) == Http1Fault::kBareLf);
  CHECK(fault_of(with_chunks("1;a\na\r\n0\r\n\r\n")) == Http1Fault::kBareLf);
  CHECK(fault_of(with_chunks("1\r\na\n0\r\n\r\n")) == Http1Fault::kChunkEnd);
  CHECK(fault_of(with_chunks("1\r\nab\r\n0\r\n\r\n")) == Http1Fault::kChunkEnd);
  CHECK(fault_of(with_chunks("1\r\na\rb0\r\n\r\n")) == Http1Fault::kChunkEnd);
  CHECK(fault_of(with_chunks("0\r\n\n")) == Http1Fault::kBareLf);
  CHECK(fault_of(with_chunks("0\r\na: b\r\n c\r\n\r\n")) == Http1Fault::kFolding);
  CHECK(fault_of(with_chunks("0\r\na b: c\r\n\r\n")) == Http1Fault::kFieldName);
  CHECK(fault_of(with_chunks("A\r\n0123456789\r\n0000\r\n\r\n")) == Http1Fault::kNone);
}

TEST_CASE("a missing end is never a clean end") {
  for (const std::string& whole :
       {kOkLine + "Content-Length: 5\r\n\r\nhello",
        with_chunks("5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n"),
        std::string("HTTP/1.1 103 X\r\n\r\nHTTP/1.1 204 X\r\nA: b\r\n\r\n")}) {
    CHECK(fault_of(whole) == Http1Fault::kNone);
    for (size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      Http1ResponseParser parser;
      const auto cut = transcribe(parser, Request::kOther, {whole.substr(0, size), {}});
      CHECK(cut.fault == Http1Fault::kUnexpectedEnd);
      CHECK_FALSE(cut.ended);
      CHECK(parser.started() == (size > 0));
    }
  }
}

TEST_CASE("trailers that RFC 9110 section 6.5.1 forbids are dropped") {
  const auto parsed = parse(
      with_chunks("0\r\nX-Ok: 1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
                  "Authorization: x\r\nSet-Cookie: a=b\r\nConnection: close\r\nTrailer: x\r\n"
                  "content_length: 9\r\nServer-Timing: db\r\n\r\n"));
  REQUIRE(parsed.ended);
  CHECK(parsed.trailers == FieldPairs{{"x-ok", "1"}, {"server-timing", "db"}});
  CHECK(parsed.keep_alive_possible);
}

TEST_CASE("limits are kept, to the byte and to the field") {
  const std::string head = with_line("a: b");
  Http1Limits limits;
  limits.head_bytes = head.size();
  limits.fields = 2;
  CHECK(fault_of(head, Request::kOther, limits) == Http1Fault::kNone);
  limits.head_bytes = head.size() - 1;
  CHECK(fault_of(head, Request::kOther, limits) == Http1Fault::kHeadTooLarge);
  limits.head_bytes = 20;
  CHECK(fault_of("HTTP/1.1 200 " + std::string(100, 'x'), Request::kOther, limits) ==
        Http1Fault::kHeadTooLarge);
  limits.head_bytes = head.size();
  limits.fields = 1;
  CHECK(fault_of(head, Request::kOther, limits) == Http1Fault::kTooManyFields);
  Http1Limits few;
  few.fields = 1;
  CHECK(fault_of(with_chunks("0\r\na: b\r\n\r\n"), Request::kOther, few) == Http1Fault::kNone);
  CHECK(fault_of(with_chunks("0\r\na: b\r\nc: d\r\n\r\n"), Request::kOther, few) ==
        Http1Fault::kTooManyFields);
  Http1Limits short_trailers;
  short_trailers.head_bytes = with_chunks("").size();
  CHECK(fault_of(with_chunks("0\r\na: " + std::string(100, 'b') + "\r\n\r\n"), Request::kOther,
                 short_trailers) == Http1Fault::kHeadTooLarge);
  Http1Limits few_extensions;
  few_extensions.chunk_extension_bytes = 6;
  CHECK(fault_of(with_chunks("1;a\r\nx\r\n1;b\r\ny\r\n1;c\r\nz\r\n0\r\n\r\n"), Request::kOther,
                 few_extensions) == Http1Fault::kNone);
  CHECK(fault_of(with_chunks("1;a\r\nx\r\n1;b\r\ny\r\n1;cd\r\nz\r\n0\r\n\r\n"), Request::kOther,
                 few_extensions) == Http1Fault::kChunkExtension);
}

TEST_CASE("a parser serves one answer after the other, and forgets the one before") {
  Http1ResponseParser parser;
  const auto chunked =
      transcribe(parser, Request::kOther, {with_chunks("1\r\na\r\n0\r\nt: 1\r\n\r\n"), {}});
  CHECK(chunked.trailers.size() == 1);
  const auto failed = transcribe(parser, Request::kOther, {"nonsense\r\n", {}});
  CHECK(failed.fault == Http1Fault::kStartLine);
  CHECK(failed.heads.empty());
  const auto plain = transcribe(parser, Request::kOther, {with_line("a: b"), {}});
  CHECK(plain.ended);
  CHECK(plain.fault == Http1Fault::kNone);
  CHECK(plain.trailers.empty());
  CHECK(plain.heads.at(0).fields == FieldPairs{{"a", "b"}, {"content-length", "0"}});
}

TEST_CASE("errors blame the side that wrote the text") {
  Http1ResponseParser parser;
  (void)transcribe(parser, Request::kOther, {"nonsense\r\n", {}});
  CHECK(parser.error().side == ptth::Side::kOrigin);
  CHECK(parser.error().kind == ptth::ErrorKind::kProtocol);
  (void)transcribe(parser, Request::kOther, {kOkLine, {}});
  CHECK(parser.error().kind == ptth::ErrorKind::kClosed);
  Http1Limits limits;
  limits.head_bytes = 5;
  Http1ResponseParser small(limits, ptth::Side::kGateway);
  (void)transcribe(small, Request::kOther, {kOkLine, {}});
  CHECK(small.error().kind == ptth::ErrorKind::kTooLarge);
  CHECK(small.error().side == ptth::Side::kGateway);
}
