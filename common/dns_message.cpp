#include "common/dns_message.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <utility>

namespace ptth {

namespace {

constexpr size_t kNameBytesMax = 255;  // RFC 1035 section 2.3.4.
constexpr size_t kRecordsMax = 256;
constexpr size_t kAliasesMax = 8;
constexpr uint16_t kClassIn = 1;
constexpr uint16_t kTypeCname = 5;
// A label with another byte than a host has; such names match nothing and are of no use.
constexpr char kOtherByte = '?';

enum SvcbKey : uint16_t {
  kMandatory = 0,
  kAlpn = 1,
  kNoDefaultAlpn = 2,
  kPort = 3,
  kIpv4 = 4,
  kIpv6 = 6
};

enum class Compression { kAllowed, kNever };

// Reads on, and remembers that it has run over the end; what it gives then is zero.
class Reader {
 public:
  Reader(Bytes message, size_t from, size_t end) : message_(message), at_(from), end_(end) {}

  explicit Reader(Bytes message) : Reader(message, 0, message.size()) {}

  [[nodiscard]] bool ok() const { return ok_; }

  [[nodiscard]] bool at_end() const { return at_ >= end_; }

  [[nodiscard]] size_t position() const { return at_; }

  void fail() {
    ok_ = false;
    at_ = end_;
  }

  uint8_t u8() {
    if (at_ >= end_) {
      fail();
      return 0;
    }
    return static_cast<uint8_t>(message_[at_++]);
  }

  uint16_t u16() {
    const uint16_t high = u8();
    return static_cast<uint16_t>(high << 8U | u8());
  }

  uint32_t u32() {
    const uint32_t high = u16();
    return high << 16U | u16();
  }

  // The next bytes, as a reader of their own.
  Reader take(size_t count) {
    if (count > end_ - std::min(at_, end_)) {
      fail();
      return {message_, end_, end_};
    }
    Reader part(message_, at_, at_ + count);
    at_ += count;
    return part;
  }

  std::string text() {
    std::string out;
    while (!at_end())
      out += static_cast<char>(u8());
    return out;
  }

  std::string name(Compression compression);

 private:
  Bytes message_;
  size_t at_;
  size_t end_;
  bool ok_ = true;
};

char host_byte(uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  return plain ? c : kOtherByte;
}

// RFC 1035 section 4.1.4. A pointer leads only to what stands before the labels that led to it, so
// that there is an end.
std::string Reader::name(Compression compression) {
  constexpr uint8_t kPointer = 0xc0;
  std::string out;
  Reader from = *this;
  size_t limit = at_;
  bool jumped = false;
  while (true) {
    const uint8_t length = from.u8();
    if (!from.ok()) break;
    if (length == 0) {
      if (!jumped) at_ = from.at_;
      return out;
    }
    if ((length & kPointer) == kPointer) {
      const size_t target = static_cast<size_t>(length & 0x3fU) << 8U | from.u8();
      if (!from.ok() || compression == Compression::kNever || target >= limit) break;
      if (!std::exchange(jumped, true)) at_ = from.at_;
      limit = target;
      from = Reader(message_, target, message_.size());
      continue;
    }
    if ((length & kPointer) != 0 || out.size() + length + 1U > kNameBytesMax) break;
    if (!out.empty()) out += '.';
    for (uint8_t index = 0; index < length; ++index)
      out += host_byte(from.u8());
    if (!from.ok()) break;
  }
  fail();
  return {};
}

struct Record {
  std::string owner;
  uint16_t type = 0;
  uint32_t ttl = 0;
  Reader data;
};

Error malformed(std::string what) {
  return {ErrorKind::kProtocol, Side::kGateway, "the name server's answer is malformed: " + what,
          true};
}

std::string_view meaning_of(uint16_t code) {
  constexpr std::array<std::string_view, 6> kCodes = {"",
                                                      "it takes the question for malformed",
                                                      "it has failed",
                                                      "there is no such name",
                                                      "it does not answer such questions",
                                                      "it refuses to answer"};
  return code < kCodes.size() ? kCodes[code] : "it answers with another error";
}

bool is_usable(std::string_view name) {
  return name.find(kOtherByte) == std::string_view::npos;
}

Result<std::vector<Record>> read_records(Bytes message) {
  constexpr uint16_t kIsAnswer = 0x8000;
  constexpr uint16_t kTruncated = 0x0200;
  Reader reader(message);
  reader.u16();
  const uint16_t flags = reader.u16();
  const uint16_t questions = reader.u16();
  const uint16_t answers = reader.u16();
  reader.u32();
  if (!reader.ok() || (flags & kIsAnswer) == 0) return malformed("its header");
  if ((flags & kTruncated) != 0) return malformed("it is cut off");
  if (const uint16_t code = flags & 0xfU; code != 0) {
    return Error{ErrorKind::kResolve, Side::kGateway,
                 "the name server says: " + std::string(meaning_of(code)), true};
  }
  if (questions > 1 || answers > kRecordsMax) return malformed("it holds too much");
  for (uint16_t index = 0; index < questions; ++index) {
    reader.name(Compression::kAllowed);
    reader.u32();
  }
  std::vector<Record> records;
  for (uint16_t index = 0; index < answers; ++index) {
    std::string owner = reader.name(Compression::kAllowed);
    const uint16_t type = reader.u16();
    const uint16_t record_class = reader.u16();
    // RFC 2181 section 8: with the highest bit it counts as 0.
    const uint32_t ttl = reader.u32();
    const uint16_t size = reader.u16();
    Reader data = reader.take(size);
    if (!reader.ok()) return malformed("a record");
    if (record_class != kClassIn) continue;
    records.push_back({std::move(owner), type, (ttl >> 31U) == 0 ? ttl : 0, data});
  }
  if (!reader.ok()) return malformed("its question");
  return records;
}

bool read_srv(Reader data, SrvRecord& record) {
  record.priority = data.u16();
  record.weight = data.u16();
  record.port = data.u16();
  record.target = data.name(Compression::kAllowed);
  return data.ok() && data.at_end();
}

bool read_addresses(Reader data, int family, size_t size, std::vector<std::string>& hints) {
  if (data.at_end()) return false;
  while (!data.at_end()) {
    const std::string raw = data.take(size).text();
    if (raw.size() != size) return false;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (inet_ntop(family, raw.data(), text.data(), text.size()) == nullptr) return false;
    hints.emplace_back(text.data());
  }
  return data.ok();
}

bool read_alpn(Reader data, std::vector<std::string>& alpn) {
  if (data.at_end()) return false;
  while (!data.at_end()) {
    const std::string id = data.take(data.u8()).text();
    if (id.empty() || !data.ok()) return false;
    alpn.push_back(id);
  }
  return data.ok();
}

// RFC 9460 section 8: in order, without itself.
bool read_mandatory(Reader data, std::vector<uint16_t>& keys) {
  if (data.at_end()) return false;
  while (!data.at_end()) {
    const uint16_t key = data.u16();
    if (!data.ok() || key == kMandatory || (!keys.empty() && key <= keys.back())) return false;
    keys.push_back(key);
  }
  return true;
}

bool read_parameter(uint16_t key, Reader value, SvcbRecord& record,
                    std::vector<uint16_t>& mandatory) {
  switch (key) {
    case kMandatory:
      return read_mandatory(value, mandatory);
    case kAlpn:
      return read_alpn(value, record.alpn);
    case kNoDefaultAlpn:
      return value.at_end();
    case kPort:
      record.port = value.u16();
      return value.ok() && value.at_end();
    case kIpv4:
      return read_addresses(value, AF_INET, 4, record.address_hints);
    case kIpv6:
      return read_addresses(value, AF_INET6, 16, record.address_hints);
    default:
      return true;
  }
}

bool is_known(uint16_t key) {
  return key == kAlpn || key == kNoDefaultAlpn || key == kPort || key == kIpv4 || key == kIpv6;
}

bool read_svcb(Reader data, const std::string& owner, SvcbRecord& record) {
  record.priority = data.u16();
  record.target = data.name(Compression::kNever);
  if (!data.ok()) return false;
  // Of an alias, parameters say nothing (section 2.4.2).
  if (record.priority == 0) return true;
  if (record.target.empty()) record.target = owner;
  std::vector<uint16_t> keys;
  std::vector<uint16_t> mandatory;
  while (!data.at_end()) {
    const uint16_t key = data.u16();
    const uint16_t size = data.u16();
    const Reader value = data.take(size);
    const bool in_order = keys.empty() || key > keys.back();
    if (!data.ok() || !in_order || !read_parameter(key, value, record, mandatory)) return false;
    keys.push_back(key);
  }
  for (const uint16_t key : mandatory) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) return false;
    if (!is_known(key)) record.is_beyond_us = true;
  }
  return data.ok();
}

// Where the aliases lead, and the least of their times.
std::string follow_aliases(const std::vector<Record>& records, std::string name, uint32_t& ttl) {
  for (size_t step = 0; step < kAliasesMax; ++step) {
    const auto alias = std::find_if(records.begin(), records.end(), [&](const Record& record) {
      return record.type == kTypeCname && record.owner == name;
    });
    if (alias == records.end()) return name;
    Reader data = alias->data;
    name = data.name(Compression::kAllowed);
    ttl = std::min(ttl, alias->ttl);
  }
  return name;
}

}  // namespace

Result<DnsAnswer> parse_dns_answer(Bytes message, DnsType type, std::string_view name) {
  const auto records = read_records(message);
  if (!records) return records.error();
  DnsAnswer answer;
  uint32_t ttl = UINT32_MAX;
  std::string lower;
  for (const char c : name)
    lower += c == '.' ? c : host_byte(static_cast<uint8_t>(c));
  const std::string owner = follow_aliases(records.value(), lower, ttl);
  for (const Record& record : records.value()) {
    if (record.type != static_cast<uint16_t>(type) || record.owner != owner) continue;
    ttl = std::min(ttl, record.ttl);
    if (type == DnsType::kSrv) {
      SrvRecord srv;
      if (!read_srv(record.data, srv)) return malformed("an SRV record");
      if (is_usable(srv.target)) answer.srv.push_back(std::move(srv));
    } else {
      SvcbRecord svcb;
      if (!read_svcb(record.data, owner, svcb)) return malformed("an SVCB record");
      if (is_usable(svcb.target)) answer.svcb.push_back(std::move(svcb));
    }
  }
  answer.ttl_seconds = ttl == UINT32_MAX ? 0 : ttl;
  return answer;
}

}  // namespace ptth
