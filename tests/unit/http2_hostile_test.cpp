// What a hostile gateway may send, and what we do about it: the rows of security.md.

#include "agent/relay/http2_session.h"
#include "tests/support/scripted_gateway.h"

#include <string>

#include <doctest/doctest.h>

using ptth::HeaderFields;
using ptth::request_fields;
using ptth::ScriptedGateway;
using ptth::SessionOptions;

namespace {

constexpr uint32_t kProtocolError = 1;
constexpr uint32_t kRefusedStream = 7;
constexpr uint32_t kEnhanceYourCalm = 11;

// Sends until the session has had enough; the number of rounds, or -1 if it never had.
template <class Round>
int rounds_until_ended(ScriptedGateway& gateway, int rounds_max, Round round) {
  for (int number = 0; number < rounds_max; ++number) {
    round(number);
    gateway.loop.turn();
    if (gateway.ended.has_value()) return number;
  }
  return -1;
}

std::string status_of(const HeaderFields& fields, uint8_t flags = ptth::kFlagEndStream,
                      SessionOptions options = {}) {
  ScriptedGateway gateway(std::move(options));
  gateway.attach();
  gateway.request(1, fields, flags);
  if (!gateway.scripted_origin.calls.empty()) return "relayed";
  const std::string status = gateway.status(1);
  const auto code = gateway.reset_code(1);
  return status.empty() && code ? "reset " + std::to_string(*code) : status;
}

HeaderFields with(const std::string& pseudo, const std::string& value) {
  HeaderFields fields = request_fields("GET", "/");
  for (auto& [name, old] : fields) {
    if (name == pseudo) old = value;
  }
  return fields;
}

HeaderFields without_authority(const HeaderFields& more = {}) {
  HeaderFields fields = {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

}  // namespace

TEST_CASE("rapid reset: the origin's work is cancelled each time and the link is closed") {
  ScriptedGateway gateway;
  gateway.attach();
  const int rounds = rounds_until_ended(gateway, 2000, [&](int number) {
    const int32_t stream_id = 2 * number + 1;
    gateway.get(stream_id);
    gateway.send_frame(ptth::kFrameReset, 0, stream_id, ptth::big_endian(8));
  });
  CHECK(rounds > 50);
  CHECK(rounds < 400);
  for (const auto& call : gateway.scripted_origin.calls)
    CHECK(call->cancelled);
}

TEST_CASE("made-you-reset: streams that the gateway makes us reset close the link") {
  ScriptedGateway gateway;
  gateway.attach();
  const int rounds = rounds_until_ended(gateway, 2000, [&](int number) {
    const int32_t stream_id = 2 * number + 1;
    gateway.request(stream_id, request_fields("POST", "/", {{"content-length", "1"}}), 0);
    gateway.data(stream_id, "too long", ptth::kFlagEndStream);
  });
  CHECK(rounds > 20);
  CHECK(rounds < 250);
}

TEST_CASE("requests over the limit without end close the link") {
  SessionOptions options;
  options.capacity = 2;
  ScriptedGateway gateway(std::move(options));
  gateway.attach();
  gateway.get(1);
  gateway.get(3);
  const int rounds =
      rounds_until_ended(gateway, 5000, [&](int number) { gateway.get(2 * number + 5); });
  CHECK(rounds > 1000);
  CHECK(rounds < 4000);
  CHECK(gateway.reset_code(5) == kRefusedStream);
  CHECK(gateway.goaway_code().has_value());
  CHECK(gateway.scripted_origin.calls.size() == 2);
}

TEST_CASE("a gateway that always asks for twice its limit keeps its link") {
  SessionOptions options;
  options.capacity = 1;
  ScriptedGateway gateway(std::move(options));
  gateway.attach();
  for (int number = 0; number < 5000; ++number) {
    const int32_t stream_id = 4 * number + 1;
    gateway.get(stream_id);
    gateway.get(stream_id + 2);
    gateway.call(static_cast<size_t>(number)).answer_head(204, ptth::BodyKind::kNone);
    gateway.loop.turn();
    REQUIRE_FALSE(gateway.ended.has_value());
  }
}

TEST_CASE("floods of frames without progress close the link") {
  struct Flood {
    const char* name;
    uint8_t type;
    int32_t stream_id;
    std::vector<uint8_t> payload;
  };

  const std::vector<Flood> floods = {
      {"PING", ptth::kFramePing, 0, std::vector<uint8_t>(8)},
      {"SETTINGS", ptth::kFrameSettings, 0, {}},
      {"empty DATA", ptth::kFrameData, 1, {}},
      {"WINDOW_UPDATE", ptth::kFrameWindowUpdate, 1, ptth::big_endian(1)},
      {"PRIORITY", ptth::kFramePriority, 9, {0, 0, 0, 0, 16}},
      {"unknown", 0x4d, 0, {1, 2, 3}},
  };
  for (const Flood& flood : floods) {
    const std::string name = flood.name;
    CAPTURE(name);
    ScriptedGateway gateway;
    gateway.attach();
    gateway.request(1, request_fields("POST", "/"), 0);
    const int rounds = rounds_until_ended(gateway, 5000, [&](int) {
      gateway.send_frame(flood.type, 0, flood.stream_id, flood.payload);
    });
    CHECK(rounds > 100);
    CHECK(rounds < 4000);
    CHECK(gateway.goaway_code().has_value());
  }
}

TEST_CASE("a CONTINUATION flood is cut") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.send_frame(ptth::kFrameHeaders, ptth::kFlagEndStream, 1,
                     ptth::encode_fields(request_fields("GET", "/")));
  const int rounds = rounds_until_ended(gateway, 100, [&](int number) {
    gateway.send_frame(ptth::kFrameContinuation, 0, 1,
                       ptth::encode_fields({{"x-" + std::to_string(number), "y"}}));
  });
  CHECK(rounds >= 0);
  CHECK(gateway.scripted_origin.calls.empty());
}

TEST_CASE("well-behaved traffic never runs a frame budget dry") {
  ScriptedGateway gateway;
  gateway.attach();
  for (int number = 0; number < 5000; ++number) {
    const int32_t stream_id = 2 * number + 1;
    gateway.get(stream_id);
    gateway.call(static_cast<size_t>(number)).answer_head(200, ptth::BodyKind::kUnknown);
    gateway.call(static_cast<size_t>(number)).answer_body("x");
    gateway.call(static_cast<size_t>(number)).answer_end();
    gateway.loop.turn();
    gateway.send_frame(ptth::kFrameWindowUpdate, 0, 0, ptth::big_endian(1));
    REQUIRE_FALSE(gateway.ended.has_value());
  }
}

TEST_CASE("credit that a gateway returns in small pieces is no flood while data flows") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(1);
  gateway.call(0).answer_head(200, ptth::BodyKind::kUnknown);
  gateway.call(0).answer_body(std::string(8'000'000, 'x'));
  for (int update = 0; update < 5000; ++update) {
    gateway.send_frame(ptth::kFrameWindowUpdate, 0, 1, ptth::big_endian(1400));
    gateway.send_frame(ptth::kFrameWindowUpdate, 0, 0, ptth::big_endian(1400));
    REQUIRE_FALSE(gateway.ended.has_value());
  }
  CHECK(gateway.body(1).size() == 65'535 + 5000 * 1400);
}

TEST_CASE("too many fields, or too many bytes of them, are answered with 431") {
  HeaderFields many;
  for (int number = 0; number < 200; ++number)
    many.emplace_back("x-" + std::to_string(number), "y");
  CHECK(status_of(request_fields("GET", "/", many)) == "431");

  SessionOptions options;
  options.limits.header_list_bytes = 4096;
  CHECK(status_of(request_fields("GET", "/", {{"x-big", std::string(5000, 'x')}}),
                  ptth::kFlagEndStream, options) == "431");
}

TEST_CASE("trailers over the limit are answered with 431 and end the origin's work") {
  SessionOptions options;
  options.limits.header_list_bytes = 4096;
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.request(1, request_fields("POST", "/"), 0);
  gateway.request(1, {{"x-big", std::string(5000, 'x')}});
  CHECK(gateway.status(1) == "431");
  CHECK(gateway.call(0).cancelled);
}

TEST_CASE("a stream id lower than one that was seen is a connection error") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.get(5);
  gateway.get(3);
  CHECK(gateway.goaway_code() == kProtocolError);
  CHECK(gateway.ended.has_value());
}

TEST_CASE("trailers that crossed our own reset are no fault of the gateway") {
  SessionOptions options;
  options.capacity = 1;
  ScriptedGateway gateway(options);
  gateway.attach();
  gateway.get(1);
  gateway.request(3, request_fields("POST", "/"), 0);
  CHECK(gateway.reset_code(3) == 7U);
  gateway.request(3, {{"digest", "late"}});
  CHECK_FALSE(gateway.goaway_code().has_value());
  CHECK_FALSE(gateway.ended.has_value());
}

TEST_CASE("paths: bytes that no path has are refused, all others are passed byte for byte") {
  CHECK(status_of(with(":path", "/a\x80")) == "400");
  CHECK(status_of(with(":path", "/a#b")) == "400");
  CHECK(status_of(with(":path", "*")) == "400");
  CHECK(status_of(with(":path", "/a b")) == "400");
  CHECK(status_of(with(":path", "http://evil/")) == "400");
  CHECK(status_of(with(":path", "")) == "reset 1");
  for (const char* path : {"//x", "/../etc", "/a/./b", "/%2e%2e/", "/?a=//b"}) {
    ScriptedGateway gateway;
    gateway.attach();
    gateway.get(1, path);
    REQUIRE(gateway.scripted_origin.calls.size() == 1);
    CHECK(gateway.call(0).head.path == path);
  }
}

TEST_CASE("authorities are parsed strictly") {
  for (const char* authority : {"u@evil", "a,b", "a:99999", "[::1", "a:", "a b", "a/b"}) {
    CAPTURE(authority);
    CHECK(status_of(with(":authority", authority)) != "relayed");
  }
  CHECK(status_of(with(":authority", "u@evil")) == "400");
  CHECK(status_of(with(":authority", "[::1]:8080")) == "relayed");
}

TEST_CASE("host stands in for a missing authority, and may not differ from it") {
  CHECK(status_of(request_fields("GET", "/", {{"host", "other.example"}})) == "400");
  CHECK(status_of(request_fields("GET", "/", {{"host", "APP.example"}})) == "relayed");
  CHECK(status_of(without_authority()) == "relayed");
  ScriptedGateway gateway;
  gateway.attach();
  gateway.request(1, without_authority({{"host", "only.example"}}));
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
  CHECK(gateway.call(0).head.authority == "only.example");
  CHECK_FALSE(gateway.call(0).head.fields.find("host").has_value());
}

TEST_CASE("schemes, CONNECT and TRACE that have no meaning here are refused") {
  CHECK(status_of(with(":scheme", "ftp")) == "400");
  CHECK(status_of(with(":method", "TRACE")) == "501");
  CHECK(status_of({{":method", "CONNECT"}, {":authority", "169.254.169.254:80"}}) != "relayed");
  CHECK(status_of(with(":method", "PURGE")) == "relayed");
}

TEST_CASE("fields that CGI-style origins take for framing are dropped and counted") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.request(
      1, request_fields(
             "GET", "/",
             {{"transfer_encoding", "chunked"}, {"content_length", "5"}, {"x_other", "stays"}}));
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
  const ptth::FieldList& fields = gateway.call(0).head.fields;
  CHECK_FALSE(fields.find("transfer_encoding").has_value());
  CHECK_FALSE(fields.find("content_length").has_value());
  CHECK(fields.find("x_other") == "stays");
  CHECK(gateway.relay_metrics.fields_dropped.value() == 2);
}

TEST_CASE("connection-specific fields and broken values make the request malformed") {
  CHECK(status_of(request_fields("GET", "/", {{"connection", "close"}})) == "reset 1");
  CHECK(status_of(request_fields("GET", "/", {{"transfer-encoding", "chunked"}})) == "reset 1");
  CHECK(status_of(request_fields("GET", "/", {{"x-a", "b\r\nc: d"}})) == "reset 1");
  CHECK(status_of(request_fields("GET", "/", {{"X-Upper", "b"}})) == "reset 1");
  CHECK(status_of(request_fields("GET", "/", {{"x-a", " b"}})) == "reset 1");
  CHECK(status_of(request_fields("GET", "/", {{"te", "gzip"}})) == "reset 1");
  CHECK(status_of(request_fields("GET", "/", {{":path", "/late"}})) == "reset 1");
  CHECK(status_of({{":method", "GET"}, {":method", "GET"}, {":scheme", "https"}, {":path", "/"}}) ==
        "reset 1");
  CHECK(status_of({{":method", "GET"}, {":path", "/"}}) == "reset 1");
  CHECK(status_of({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":x", "y"}}) ==
        "reset 1");
}

TEST_CASE("content-length is a plain number that the body keeps to") {
  for (const char* length : {"5, 5", "+5", "0x5", "-1", "", "99999999999999999999"}) {
    CAPTURE(length);
    CHECK(status_of(request_fields("POST", "/", {{"content-length", length}}), 0) == "400");
  }
  CHECK(status_of(request_fields("POST", "/", {{"content-length", "5"}, {"content-length", "5"}}),
                  0) == "400");
  CHECK(status_of(request_fields("POST", "/", {{"content-length", "5"}})) == "400");
  for (const char* body : {"too long", "x"}) {
    ScriptedGateway gateway;
    gateway.attach();
    gateway.request(1, request_fields("POST", "/", {{"content-length", "5"}}), 0);
    gateway.data(1, body, ptth::kFlagEndStream);
    CHECK(gateway.reset_code(1) == kProtocolError);
    CHECK(gateway.call(0).cancelled);
    CHECK_FALSE(gateway.call(0).body_ended);
  }
}

TEST_CASE("trailers that do not end the request, or carry pseudo fields, are malformed") {
  for (const HeaderFields& trailers : {HeaderFields{{"a", "b"}}, HeaderFields{{":path", "/"}}}) {
    ScriptedGateway gateway;
    gateway.attach();
    gateway.request(1, request_fields("POST", "/"), 0);
    gateway.request(1, trailers, trailers.front().first == "a" ? 0 : ptth::kFlagEndStream);
    CHECK(gateway.reset_code(1) == kProtocolError);
    CHECK(gateway.call(0).cancelled);
  }
}

TEST_CASE("a request that has passed this worker before is a loop") {
  SessionOptions options;
  options.rules.worker_id = "ptth-agent-1";
  const auto status = [&](const char* name, const char* value) {
    return status_of(request_fields("GET", "/", {{name, value}}), ptth::kFlagEndStream, options);
  };
  CHECK(status("via", "1.1 proxy, 2.0 ptth-agent-1 (x)") == "508");
  CHECK(status("cdn-loop", "cdn.example, ptth-agent-1; a=b") == "508");
  CHECK(status("via", "2.0 ptth-agent-2") == "relayed");
  CHECK(status("cdn-loop", "xptth-agent-1") == "relayed");
}

TEST_CASE("split cookies are joined, and Via and CDN-Loop name the worker once") {
  ScriptedGateway gateway;
  gateway.attach();
  gateway.request(
      1, request_fields("GET", "/", {{"cookie", "a=1"}, {"via", "1.1 gw"}, {"cookie", "b=2"}}));
  REQUIRE(gateway.scripted_origin.calls.size() == 1);
  const ptth::FieldList& fields = gateway.call(0).head.fields;
  CHECK(fields.find("cookie") == "a=1; b=2");
  CHECK(fields.find("via") == "1.1 gw, 2.0 ptth-agent");
  CHECK(fields.find("cdn-loop") == "ptth-agent");
}

TEST_CASE("forwarding fields are trusted, replaced or stripped as the gateway's policy says") {
  const HeaderFields fields =
      request_fields("GET", "/", {{"forwarded", "for=1.2.3.4"}, {"x-forwarded-for", "1.2.3.4"}});
  const auto relayed = [&](ptth::ForwardedPolicy policy) {
    SessionOptions options;
    options.rules.forwarded = policy;
    ScriptedGateway gateway(options);
    gateway.attach();
    gateway.request(1, fields);
    return gateway.call(0).head.fields;
  };
  CHECK(relayed(ptth::ForwardedPolicy::kTrust).find("x-forwarded-for") == "1.2.3.4");
  CHECK_FALSE(relayed(ptth::ForwardedPolicy::kStrip).find("forwarded").has_value());
  const ptth::FieldList replaced = relayed(ptth::ForwardedPolicy::kReplace);
  CHECK_FALSE(replaced.find("x-forwarded-for").has_value());
  CHECK(replaced.find("x-forwarded-proto") == "https");
  CHECK(replaced.find("x-forwarded-host") == "app.example");
}

TEST_CASE("a flood is warned off with a graceful GOAWAY before the link is closed") {
  ScriptedGateway gateway;
  gateway.attach();
  rounds_until_ended(gateway, 5000, [&](int) {
    gateway.send_frame(ptth::kFramePing, 0, 0, std::vector<uint8_t>(8));
  });
  const ptth::TestFrame* first = gateway.find(ptth::kFrameGoaway, 0);
  REQUIRE(first != nullptr);
  CHECK(first->number_at(0) == 0x7fffffff);
  bool has_closed = false;
  for (const ptth::TestFrame& frame : gateway.frames()) {
    has_closed |= frame.type == ptth::kFrameGoaway && frame.number_at(4) == kEnhanceYourCalm;
  }
  CHECK(has_closed);
}
