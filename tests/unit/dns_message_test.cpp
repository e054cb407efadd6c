#include "common/dns_message.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::DnsAnswer;
using ptth::DnsType;
using ptth::ErrorKind;
using ptth::Result;

namespace {

std::string u16(unsigned value) {
  return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xffU)};
}

std::string name(const std::string& dotted) {
  std::string wire;
  size_t from = 0;
  while (from < dotted.size()) {
    const size_t dot = std::min(dotted.find('.', from), dotted.size());
    wire += static_cast<char>(dot - from);
    wire += dotted.substr(from, dot - from);
    from = dot + 1;
  }
  return wire + '\0';
}

std::string record(const std::string& owner, unsigned type, unsigned ttl, const std::string& data) {
  return owner + u16(type) + u16(1) + u16(0) + u16(ttl) + u16(static_cast<unsigned>(data.size())) +
         data;
}

constexpr unsigned kOk = 0x8180;

std::string message(const std::vector<std::string>& records, unsigned flags = kOk) {
  std::string wire = u16(7) + u16(flags) + u16(1) + u16(static_cast<unsigned>(records.size())) +
                     u16(0) + u16(0) + name("_s._tcp.a.example") + u16(33) + u16(1);
  for (const std::string& one : records)
    wire += one;
  return wire;
}

// A pointer to the name of the question.
const std::string kOwner = "\xc0\x0c";

std::string srv(unsigned priority, unsigned weight, unsigned port, const std::string& target) {
  return u16(priority) + u16(weight) + u16(port) + target;
}

std::string parameter(unsigned key, const std::string& value) {
  return u16(key) + u16(static_cast<unsigned>(value.size())) + value;
}

Result<DnsAnswer> parse(const std::string& wire, DnsType type = DnsType::kSrv) {
  return ptth::parse_dns_answer({reinterpret_cast<const uint8_t*>(wire.data()), wire.size()}, type,
                                "_s._TCP.a.example");
}

Result<DnsAnswer> parse_svcb(const std::string& data) {
  return parse(message({record(kOwner, 64, 60, data)}), DnsType::kSvcb);
}

}  // namespace

TEST_CASE("SRV records are read with the least of their times") {
  const auto answer = parse(message({record(kOwner, 33, 300, srv(1, 2, 8443, name("GW1.example"))),
                                     record(kOwner, 33, 60, srv(3, 0, 443, name("gw2.example"))),
                                     record(kOwner, 1, 1, "abcd")}));
  REQUIRE(answer.ok());
  REQUIRE(answer.value().srv.size() == 2);
  CHECK(answer.value().srv[0].priority == 1);
  CHECK(answer.value().srv[0].weight == 2);
  CHECK(answer.value().srv[0].port == 8443);
  CHECK(answer.value().srv[0].target == "gw1.example");
  CHECK(answer.value().ttl_seconds == 60);
}

TEST_CASE("aliases of a name are followed, and end") {
  const std::string other = name("b.example");
  const auto answer =
      parse(message({record(kOwner, 5, 9, other), record(other, 33, 60, srv(1, 1, 1, name("x")))}));
  REQUIRE(answer.ok());
  CHECK(answer.value().srv.size() == 1);
  CHECK(answer.value().ttl_seconds == 9);
  CHECK(parse(message({record(kOwner, 5, 9, kOwner)})).value().srv.empty());
}

TEST_CASE("targets that are no hosts, and records of other names, are of no use") {
  const auto answer = parse(message({record(kOwner, 33, 60, srv(1, 1, 1, name("a b"))),
                                     record(name("z"), 33, 60, srv(1, 1, 1, name("x")))}));
  REQUIRE(answer.ok());
  CHECK(answer.value().srv.empty());
}

TEST_CASE("answers that are no answer say why") {
  for (const auto& [flags, why] : std::vector<std::pair<unsigned, std::string>>{
           {0x8183, "there is no such name"}, {0x8182, "it has failed"}, {0x8185, "refuses"}}) {
    const auto answer = parse(message({}, flags));
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().kind == ErrorKind::kResolve);
    CHECK(answer.error().detail.find(why) != std::string::npos);
  }
  CHECK(parse(message({}, 0x0180)).error().kind == ErrorKind::kProtocol);
  CHECK(parse(message({}, 0x8380)).error().kind == ErrorKind::kProtocol);
  CHECK(parse(message({})).value().srv.empty());
}

TEST_CASE("every message that is cut off is malformed") {
  const std::string whole = message({record(kOwner, 33, 60, srv(1, 2, 3, name("gw.example")))});
  REQUIRE(parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(parse(whole.substr(0, size)).ok());
  }
}

TEST_CASE("pointers that lead forwards, to themselves or nowhere are malformed") {
  for (const std::string target : {"\xc0\xff", "\xff\xff", "\xc0", "\x40 a", "\x05 ab"}) {
    CAPTURE(target);
    CHECK_FALSE(parse(message({record(kOwner, 33, 60, srv(1, 1, 1, target))})).ok());
  }
  // 12 is the question, behind it 23 more bytes; this one would point at itself.
  const std::string head = message({});
  const std::string self{'\xc0', static_cast<char>(head.size())};
  CHECK_FALSE(parse(message({self + u16(33)})).ok());
}

TEST_CASE("an SVCB record is read with its parameters") {
  const auto answer =
      parse_svcb(u16(1) + name("gw.example") + parameter(0, u16(1) + u16(3)) +
                 parameter(1, std::string("\x0ah2-reverse\x02h2")) + parameter(3, u16(8443)) +
                 parameter(4, std::string("\xc0\x00\x02\x01", 4)) +
                 parameter(6, std::string(" \x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16)));
  REQUIRE(answer.ok());
  REQUIRE(answer.value().svcb.size() == 1);
  const ptth::SvcbRecord& record = answer.value().svcb[0];
  CHECK(record.priority == 1);
  CHECK(record.target == "gw.example");
  CHECK(record.alpn == std::vector<std::string>{"h2-reverse", "h2"});
  CHECK(record.port == 8443);
  CHECK(record.address_hints == std::vector<std::string>{"192.0.2.1", "2001:db8::1"});
  CHECK_FALSE(record.is_beyond_us);
}

TEST_CASE("an alias has no parameters, and a target of its own is the record's name") {
  const auto alias = parse_svcb(u16(0) + name("b.example") + parameter(3, "x"));
  REQUIRE(alias.ok());
  CHECK(alias.value().svcb[0].priority == 0);
  CHECK(alias.value().svcb[0].target == "b.example");
  CHECK(parse_svcb(u16(1) + name("")).value().svcb[0].target == "_s._tcp.a.example");
  CHECK(parse_svcb(u16(0) + name("")).value().svcb[0].target == "");
}

TEST_CASE("a key that must be understood and is not makes a record unusable, no more") {
  CHECK(parse_svcb(u16(1) + name("g") + parameter(0, u16(9)) + parameter(9, "x"))
            .value()
            .svcb[0]
            .is_beyond_us);
  CHECK_FALSE(parse_svcb(u16(1) + name("g") + parameter(9, "x")).value().svcb[0].is_beyond_us);
}

TEST_CASE("one malformed SVCB parameter makes the whole answer malformed") {
  const std::string head = u16(1) + name("g");
  for (const std::string& parameters :
       {parameter(1, ""), parameter(1, "\x05h2"), parameter(1, std::string("\0", 1)),
        parameter(2, "x"), parameter(3, "x"), parameter(3, "xxx"), parameter(4, ""),
        parameter(4, "abc"), parameter(6, "abcd"), parameter(0, ""), parameter(0, u16(0)),
        parameter(0, u16(1)), parameter(0, u16(3) + u16(3)) + parameter(3, u16(1)),
        parameter(3, u16(1)) + parameter(3, u16(1)), parameter(4, "abcd") + parameter(1, "\x02h2"),
        u16(9) + u16(5) + "x", std::string("\0", 1)}) {
    CAPTURE(parameters);
    CHECK_FALSE(parse_svcb(head + parameters).ok());
  }
  // RFC 9460 section 2.2: no compression.
  CHECK_FALSE(parse_svcb(u16(1) + kOwner).ok());
}
