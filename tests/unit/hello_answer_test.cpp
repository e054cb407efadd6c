#include "agent/link/hello_answer.h"

#include "tests/support/hello_transcript.h"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using namespace std::string_literals;
using ptth::ErrorKind;
using ptth::FieldList;
using ptth::HelloAnswerReader;
using ptth::HelloOptions;
using ptth::HelloSpec;
using ptth::HttpTime;
using ptth::HttpUri;
using ptth::Milliseconds;
using ptth::resolve_location;
using ptth::retry_after;
using ptth::reverse_hello;
using ptth::Secret;
using ptth::visible;
using ptth::test::cut_everywhere;
using ptth::test::cut_in_two;
using ptth::test::hello_spec;
using ptth::test::HelloTranscript;
using ptth::test::Pieces;
using ptth::test::StreamEnd;
using ptth::test::transcribe;
using Outcome = HelloAnswerReader::Outcome;

namespace {

const std::string kYes =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n";

HelloTranscript run(const HelloSpec& spec, const Pieces& pieces, const std::string& secret) {
  HelloAnswerReader reader(spec);
  std::vector<Secret> secrets;
  if (!secret.empty()) secrets.emplace_back(std::string(secret));
  reader.start(std::move(secrets));
  return transcribe(reader, pieces, StreamEnd::kClosed);
}

// The verdict on the whole answer, after a check that no split of it changes anything.
HelloTranscript judge(std::string_view text, const HelloSpec& spec,
                      const std::string& secret = {}) {
  const HelloTranscript whole = run(spec, {text, {}}, secret);
  for (size_t at = 0; at <= text.size(); ++at) {
    CAPTURE(at);
    const bool same = run(spec, cut_in_two(text, at), secret) == whole;
    REQUIRE(same);
  }
  const bool same = run(spec, cut_everywhere(text), secret) == whole;
  REQUIRE(same);
  return whole;
}

HelloTranscript judge(std::string_view text) {
  return judge(text, hello_spec());
}

// Switches to ptth with these fields beside.
std::string yes_with(std::string_view fields) {
  return "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: ptth\r\n" + std::string(fields) +
         "\r\n";
}

std::string no(int status, std::string_view fields = "", std::string_view body = "") {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

HelloSpec with_channels(std::vector<std::string> channels) {
  HelloOptions options;
  options.channels = std::move(channels);
  return hello_spec(options);
}

HelloTranscript refused(const std::string& text, const HelloSpec& spec = hello_spec()) {
  HelloTranscript out = judge(text, spec);
  CHECK(out.outcome == Outcome::kRefused);
  CHECK_FALSE(out.detail.empty());
  return out;
}

// What cannot be a matter of configuration or time.
std::string broken(const std::string& text, const HelloSpec& spec = hello_spec()) {
  const HelloTranscript out = refused(text, spec);
  CHECK(out.kind == ErrorKind::kProtocol);
  return out.detail;
}

}  // namespace

TEST_CASE("a yes takes its head and leaves the first bytes of the session") {
  const HelloTranscript out = judge(kYes + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  CHECK(out.outcome == Outcome::kReversed);
  CHECK(out.channel == "h2");
  CHECK(out.bytes_taken == kYes.size());
}

TEST_CASE("tokens are compared in any case, and Connection is a list") {
  CHECK(
      judge(
          "HTTP/1.1 101\r\nUPGRADE: PtTh\r\nCONNECTION: keep-alive ,, UPGRADE\r\nalpn: h2\r\n\r\n")
          .outcome == Outcome::kReversed);
  HelloOptions options;
  options.token = "PTTH/1.0";
  CHECK(judge("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: ptth/1.0\r\n\r\n",
              hello_spec(options))
            .outcome == Outcome::kReversed);
}

TEST_CASE("any number of interim answers may come before the final one") {
  const std::string interim =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nUpgrade: other\r\nALPN: h3\r\n\r\n";
  const HelloTranscript out = judge(interim + interim + kYes + "x");
  CHECK(out.outcome == Outcome::kReversed);
  CHECK(out.interim_answers == 6);
  CHECK(judge(interim + no(204)).outcome == Outcome::kAskAgain);
  CHECK(judge(interim + no(403)).kind == ErrorKind::kRefused);
}

TEST_CASE("interim answers without end are an attack, slow ones are not") {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  std::string flood;
  for (int count = 0; count < 32; ++count)
    flood += interim;
  CHECK(run(hello_spec(), {flood + kYes, {}}, "").outcome == Outcome::kReversed);
  const HelloTranscript out = run(hello_spec(), {flood + interim + kYes, {}}, "");
  CHECK(out.outcome == Outcome::kRefused);
  CHECK(contains(out.detail, "without end"));

  const HelloSpec spec = hello_spec();
  HelloAnswerReader reader(spec);
  reader.start({});
  for (uint64_t second = 1; second < 1000; ++second) {
    ptth::Bytes bytes = ptth::test::bytes_of(interim);
    REQUIRE(reader.read(bytes, second * 1000) == Outcome::kNeedMore);
  }
}

TEST_CASE("a 101 to something else is no yes") {
  CHECK(contains(broken("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
                 "to websocket instead of ptth"));
  CHECK(
      contains(broken("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: ptth2\r\n\r\n"), "ptth2"));
  CHECK(contains(broken("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: ptth, h2c\r\n\r\n"),
                 "ptth, h2c"));
  CHECK(contains(broken("HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n"), "to nothing"));
  CHECK(contains(broken("HTTP/1.1 101 x\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n"), "to nothing"));
  broken("HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: ptth\r\n\r\n");
  broken(yes_with("Transfer-Encoding: chunked\r\n"));
}

TEST_CASE("the choice may stand in either field, and must be one that was offered") {
  for (const auto& spec : {hello_spec(), [] {
                             HelloOptions options;
                             options.uri = "https://gw.example/";
                             options.token = "ptth";
                             return hello_spec(options, reverse_hello());
                           }()}) {
    for (const char* field : {"ALPN: h2\r\n", "Selected-ALPN: h2\r\n", "alpn: %68%32\r\n",
                              "ALPN: ,h2,\r\nSelected-ALPN: h2\r\n"}) {
      CAPTURE(field);
      CHECK(judge(yes_with(field), spec).channel == "h2");
    }
  }
  CHECK(
      contains(broken(yes_with("ALPN: http%2F1.1\r\n")), "not offered (http%2F1.1 instead of h2"));
  CHECK(contains(broken(yes_with("ALPN: h2, http%2F1.1\r\n")), "more than one"));
  CHECK(contains(broken(yes_with("ALPN: h2\r\nSelected-ALPN: h3\r\n")), "more than one"));
  CHECK(contains(broken(yes_with("ALPN: http/1.1\r\n")), "RFC 7639"));
  CHECK(contains(broken(yes_with("ALPN: %h2\r\n")), "RFC 7639"));
  CHECK(contains(broken(yes_with("ALPN:\r\n")), "empty"));
  CHECK(judge(yes_with("X-ALPN: h3\r\n")).channel == "h2");
}

TEST_CASE("without a choice the channel is the only one that was offered") {
  CHECK(judge(yes_with("")).channel == "h2");
  CHECK(judge(yes_with(""), with_channels({"http/1.1"})).channel == "http/1.1");
  const HelloSpec both = with_channels({"h2", "http/1.1"});
  CHECK(contains(broken(yes_with(""), both), "(h2, http%2F1.1)"));
  CHECK(judge(yes_with("ALPN: http%2F1.1\r\n"), both).channel == "http/1.1");
  CHECK(judge(yes_with("ALPN: http%2f1.1\r\n"), both).channel == "http/1.1");
}

TEST_CASE("other statuses may mean yes, when the configuration says so") {
  HelloOptions options;
  options.statuses = {"101", "200"};
  const HelloSpec spec = hello_spec(options);
  const HelloTranscript plain =
      judge("HTTP/1.1 200 OK\r\nALPN: h2\r\nContent-Length: 0\r\n\r\nfirst", spec);
  CHECK(plain.outcome == Outcome::kReversed);
  CHECK(judge("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst", spec).channel == "h2");
  CHECK(judge(kYes, spec).outcome == Outcome::kReversed);
  CHECK(contains(broken("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst", spec), "body"));
  CHECK(contains(broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", spec), "body"));
  options.statuses = {"200"};
  CHECK(contains(broken(kYes, hello_spec(options)), "101"));
}

TEST_CASE("204 says that the gateway gave up waiting") {
  CHECK(judge("HTTP/1.1 204 x\r\n\r\n").outcome == Outcome::kAskAgain);
  CHECK(judge("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n").outcome == Outcome::kDialAgain);
  CHECK(judge("HTTP/1.0 204 x\r\n\r\n").outcome == Outcome::kDialAgain);
}

TEST_CASE("a no is a matter of credentials, of configuration, or of time") {
  for (const int status : {401, 403, 407}) {
    CAPTURE(status);
    CHECK(refused(no(status)).kind == ErrorKind::kRefused);
  }
  for (const int status : {200, 202, 300, 301, 302, 303, 304, 400, 404, 405, 410, 418, 421, 426}) {
    CAPTURE(status);
    const HelloTranscript out = refused(no(status));
    CHECK(out.kind == ErrorKind::kConfiguration);
    CHECK_FALSE(out.retryable);
    CHECK(contains(out.detail, "(" + std::to_string(status) + ")"));
  }
  for (const int status : {408, 425, 429, 500, 502, 503, 599}) {
    CAPTURE(status);
    const HelloTranscript out = refused(no(status));
    CHECK(out.kind == ErrorKind::kUnavailable);
    CHECK(out.retryable);
  }
}

TEST_CASE("a no says what to look at") {
  CHECK(contains(refused(no(404)).detail, "--hello-template"));
  CHECK(contains(refused(no(400)).detail, "revision"));
  CHECK(contains(refused(no(405)).detail, "--profile"));
  CHECK(contains(refused(no(200)).detail, "plain web server"));
  CHECK(contains(refused(no(301, "Location: https://b.example/\r\n")).detail, "new URL"));
  CHECK(contains(refused(no(426, "Connection: upgrade\r\nUpgrade: PTTH/1.0\r\n")).detail,
                 "to PTTH/1.0"));
  CHECK(contains(refused(no(401, "WWW-Authenticate: Bearer realm=\"x\"\r\n")).detail, "by Bearer"));
  const std::string expired =
      refused(no(401,
                 "WWW-Authenticate: Bearer realm=\"a, error=b\", error=\"invalid_token\", "
                 "error_description=\"The token expired at noon\"\r\n"))
          .detail;
  CHECK(contains(expired, "by Bearer: the token has expired, or is not valid: renew it"));
  CHECK(contains(expired, "renew it: The token expired at noon"));
  const std::string odd = refused(no(401, "WWW-Authenticate: Bearer ,,=\", error=\r\n")).detail;
  CHECK(contains(odd, "by Bearer"));
  CHECK_FALSE(contains(odd, "renew it"));
}

TEST_CASE("what a gateway gives as its reason is shown, short and safe") {
  CHECK(contains(refused(no(403, "", "no such\r\n\ttenant\x1b[31m \xc3\xa4")).detail,
                 "it says: no such tenant?[31m ??"));
  const std::string detail =
      run(hello_spec(), {no(500, "", std::string(5000, 'x')), {}}, "").detail;
  CHECK(std::count(detail.begin(), detail.end(), 'x') == 197);
  CHECK_FALSE(contains(refused(no(404, "Content-Type: text/html\r\n", "<html>")).detail, "html"));
  CHECK(contains(refused("HTTP/1.1 503 x\r\n\r\nuntil it closes").detail, "until it closes"));
  CHECK(contains(
      refused("HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").detail,
      "it says: abc"));
  // Broken off, and broken.
  CHECK(contains(refused("HTTP/1.1 403 x\r\nContent-Length: 9\r\n\r\nab").detail, "it says: ab"));
  CHECK(refused("HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").kind ==
        ErrorKind::kRefused);
}

TEST_CASE("an answer that repeats our credentials is not shown") {
  const std::string secret = "Bearer eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXBheWxvYWQ.c2lnbmF0dXJl";
  const auto hidden = [&](const std::string& text) {
    const HelloTranscript out = judge(text, hello_spec(), secret);
    CAPTURE(out.detail);
    CHECK(contains(out.detail, "***"));
    CHECK_FALSE(contains(out.detail, "payload"));
    CHECK_FALSE(contains(out.detail, "eyJhb"));
    CHECK_FALSE(contains(out.detail, "c2VjcmV0"));
  };
  hidden(no(401, "", "bad token: " + secret));
  hidden(no(401, "", "bad token " + secret.substr(7)));
  hidden(no(401, "", "bad token " + secret.substr(7, 30) + "..."));
  hidden(no(401, "", "...c2VjcmV0LXBheWxvYWQ..."));
  hidden(no(426, "Connection: upgrade\r\nUpgrade: eyJhbGciOiJIUzI1NiJ9.c2Vj\r\n"));
  hidden(no(307, "Location: http://gw.example/?t=eyJhbGciOiJIUzI1NiJ9.c2Vj\r\n"));
  hidden(yes_with("ALPN: eyJhbGciOiJIUzI1NiJ9.c2Vj\r\n"));
  CHECK(contains(judge(no(401, "", "bad token"), hello_spec(), secret).detail, "bad token"));
}

TEST_CASE("a gateway may send us elsewhere: over TLS, on hosts that were named") {
  const auto to = [](int status, const std::string& location, const HelloSpec& spec) {
    return judge(no(status, "Location: " + location + "\r\n"), spec);
  };
  HelloOptions options;
  options.redirect_hosts = {"GW2.example", "2001:db8::1"};
  const HelloSpec two = hello_spec(options);
  const HelloSpec one = hello_spec();
  CHECK(to(307, "https://gw.example/b", one).location == "https://gw.example/b");
  CHECK(to(308, "https://GW.example:8443", one).location == "https://gw.example:8443/");
  CHECK(to(307, "/other?x=y#z", one).location == "https://gw.example/other?x=y");
  CHECK(to(307, "https://gw2.example/b", two).location == "https://gw2.example/b");
  CHECK(to(307, "https://[2001:DB8::1]/b", two).location == "https://[2001:db8::1]/b");
  CHECK(to(307, "https://gw.example/b", two).outcome == Outcome::kMoved);

  const HelloTranscript other = to(307, "https://evil.example/b", one);
  CHECK(other.outcome == Outcome::kRefused);
  CHECK(other.kind == ErrorKind::kConfiguration);
  CHECK(contains(other.detail, "--redirect-host"));
  CHECK(contains(to(307, "http://gw.example/b", one).detail, "not encrypted"));
  for (const char* location : {"", "b", "//gw.example/b", "https://u@gw.example/", "https://",
                               "mailto:a@b", "/a b", "https://gw.example:0/", "?x"}) {
    CAPTURE(location);
    const HelloTranscript out = to(307, location, one);
    CHECK(out.outcome == Outcome::kRefused);
    CHECK(out.kind == ErrorKind::kProtocol);
  }
  CHECK(contains(refused(no(307)).detail, "without saying where"));
}

TEST_CASE("what is no HTTP/1.1 answer is named") {
  CHECK(contains(broken("HTTP/2 200\r\n\r\n"), "unsupported HTTP version"));
  CHECK(contains(broken("\x15\x03\x03\r\n"), "malformed start line"));
  CHECK(contains(broken("HTTP/1.1 101 x\nUpgrade: ptth\n\n"), "line feed"));
  CHECK(contains(broken("HTTP/1.1 99 x\r\n\r\n"), "start line"));
  CHECK(contains(broken("HTTP/1.1 700 x\r\n\r\n"), "status"));
}

TEST_CASE("a head that is too large is not collected") {
  const auto detail = [](const std::string& text) {
    return run(hello_spec(), cut_in_two(text, text.size() / 2), "").detail;
  };
  CHECK(contains(detail("HTTP/1.1 200 x\r\nX: " + std::string(16 * 1024, 'x')), "too large"));
  std::string many = "HTTP/1.1 200 x\r\n";
  for (int field = 0; field < 65; ++field)
    many += "a: b\r\n";
  CHECK(contains(detail(many), "too many fields"));
  const HelloSpec spec = hello_spec();
  HelloAnswerReader reader(spec);
  reader.start({});
  const std::string line(17 * 1024, 'x');
  ptth::Bytes bytes = ptth::test::bytes_of(line);
  CHECK(reader.read(bytes, 1) == Outcome::kRefused);
}

TEST_CASE("a connection that closes within the answer is a closed connection") {
  const HelloTranscript nothing = refused("");
  CHECK(nothing.kind == ErrorKind::kClosed);
  CHECK(nothing.retryable);
  CHECK(contains(nothing.detail, "without an answer"));
  CHECK(contains(refused("HTTP/1.1 101 x\r\nUpgr").detail, "within its answer"));
  CHECK(refused("HTTP/1.1 100 x\r\n\r\n").kind == ErrorKind::kClosed);
}

TEST_CASE("a reader serves one answer after the other, and forgets the one before") {
  const HelloSpec spec = hello_spec();
  HelloAnswerReader reader(spec);
  for (int round = 0; round < 3; ++round) {
    reader.start({});
    CHECK(transcribe(reader, {"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n", {}}, StreamEnd::kOpen)
              .interim_answers == 1);
  }
  reader.start({});
  CHECK(transcribe(reader, {kYes, {}}, StreamEnd::kOpen).channel == "h2");
}

TEST_CASE("Retry-After is a delay, or a date by the gateway's own clock") {
  using std::chrono::seconds;
  const HttpTime now{seconds(784111777)};  // Sun, 06 Nov 1994 08:49:37 GMT
  const auto asked = [&](std::string_view value, std::string_view date = "") {
    FieldList fields;
    fields.add("retry-after", value);
    if (!date.empty()) fields.add("date", date);
    return retry_after(fields, now);
  };
  CHECK(asked("120") == seconds(120));
  CHECK(asked("0") == seconds(0));
  CHECK(asked("99999999999999999999999999") > std::chrono::hours(1'000'000));
  CHECK(asked("9223372036854775807") > std::chrono::hours(1'000'000));
  CHECK(asked("Sun, 06 Nov 1994 08:50:37 GMT") == seconds(60));
  CHECK(asked("Sunday, 06-Nov-94 08:50:37 GMT") == seconds(60));
  CHECK(asked("Sun, 06 Nov 1994 08:49:30 GMT") == seconds(0));
  CHECK(asked("Sun, 06 Nov 1994 09:50:37 GMT", "Sun, 06 Nov 1994 09:50:07 GMT") == seconds(30));
  CHECK(asked("Sun, 06 Nov 1994 08:50:37 GMT", "yesterday") == seconds(60));
  for (const char* value : {"", "-5", "1.5", "soon", "5 s", "0x10"}) {
    CAPTURE(value);
    CHECK(asked(value) == seconds(0));
  }
  CHECK(retry_after({}, now) == seconds(0));
}

TEST_CASE("a no may ask us to wait, whichever it is") {
  CHECK(refused(no(503, "Retry-After: 7\r\n")).retry_after_ms == 7000);
  CHECK(refused(no(429, "Retry-After: 7\r\n")).retry_after_ms == 7000);
  CHECK(refused(no(403, "Retry-After: 7\r\n")).retry_after_ms == 7000);
  CHECK(refused(no(503)).retry_after_ms == 0);
}

TEST_CASE("text of others is printable and has an end") {
  CHECK(visible("", 10) == "");
  CHECK(visible(" a\r\n\r\n b\t", 10) == "a b");
  CHECK(visible("0123456789", 10) == "0123456789");
  CHECK(visible("01234567890", 10) == "0123456...");
  CHECK(visible("a\x00\x7f\xff"s, 10) == "a???");
}
