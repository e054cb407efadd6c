#include "agent/link/envoy_pings.h"

#include "tests/support/recording_listener.h"

#include <string>

#include <doctest/doctest.h>

using ptth::Bytes;
using ptth::EnvoyPings;
using ptth::Rate;
using ptth::test::as_bytes;
using ptth::test::as_text;
using Next = EnvoyPings::Next;

namespace {

struct Seen {
  Next next = Next::kNeedMore;
  size_t whole = 0;
  std::string rest;

  bool operator==(const Seen&) const = default;
};

Seen read(const std::string& text, size_t step, Rate rate = {1000, 0}) {
  EnvoyPings pings(rate);
  Seen seen;
  for (size_t at = 0; at < text.size() && seen.next == Next::kNeedMore; at += step) {
    const std::string piece = text.substr(at, step);
    Bytes bytes = as_bytes(piece);
    size_t whole = 0;
    seen.next = pings.take(bytes, 1, whole);
    seen.whole += whole;
    seen.rest = std::string(as_text(bytes)) + text.substr(std::min(text.size(), at + step));
  }
  return seen;
}

void check_in_any_split(const std::string& text, const Seen& expected) {
  for (size_t step = 1; step <= text.size(); ++step) {
    CAPTURE(step);
    CHECK(read(text, step) == expected);
  }
}

}  // namespace

TEST_CASE("pings are counted when they are whole") {
  check_in_any_split("RPINGRPINGRPIN", {Next::kNeedMore, 2, ""});
  check_in_any_split("R", {Next::kNeedMore, 0, ""});
}

TEST_CASE("what follows a whole ping is told by its first byte, which stays") {
  check_in_any_split("RPINGPRI * ", {Next::kMagic, 1, "PRI * "});
  check_in_any_split("PRI", {Next::kMagic, 0, "PRI"});
  check_in_any_split("RPINGRPING\x16\x03", {Next::kTls, 2, "\x16\x03"});
}

TEST_CASE("anything else is neither, also in the middle of a ping") {
  check_in_any_split("RPINGHTTP/1.1", {Next::kOther, 1, "HTTP/1.1"});
  check_in_any_split("RPIRPING", {Next::kOther, 0, "RPING"});
  check_in_any_split("RPI\x16", {Next::kOther, 0, "\x16"});
  check_in_any_split("rping", {Next::kOther, 0, "rping"});
}

TEST_CASE("more pings than allowed are too many, and come back with time") {
  CHECK(read("RPINGRPING", 3, {2, 0}).next == Next::kNeedMore);
  CHECK(read("RPINGRPINGRPING", 3, {2, 0}).next == Next::kTooMany);
  EnvoyPings pings({1, 1});
  size_t whole = 0;
  for (uint64_t second = 1; second < 10; ++second) {
    Bytes bytes = as_bytes("RPING");
    CHECK(pings.take(bytes, second * 1000, whole) == Next::kNeedMore);
    CHECK(whole == 1);
  }
}
