#pragma once

// The answers of name servers, as far as services are found with them: SRV (RFC 2782) and SVCB
// (RFC 9460). Every byte comes from outside; anything that does not fit is an error of the whole
// message (RFC 9460 section 2.2).

#include "common/byte_stream.h"
#include "common/error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

enum class DnsType : uint16_t { kSrv = 33, kSvcb = 64 };

// Names are in lower case, without the last dot; the root is empty.
struct SrvRecord {
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint16_t port = 0;
  std::string target;
};

struct SvcbRecord {
  uint16_t priority = 0;  // 0: AliasMode.
  std::string target;     // The record's own name where it says ".", but in AliasMode.
  std::vector<std::string> alpn;
  std::optional<uint16_t> port;
  std::vector<std::string> address_hints;
  // It says that one must understand a key that we do not (RFC 9460 section 8).
  bool is_beyond_us = false;
};

struct DnsAnswer {
  std::vector<SrvRecord> srv;
  std::vector<SvcbRecord> svcb;
  uint32_t ttl_seconds = 0;  // The least of those on the way to them.
};

// What the message says of that name, by way of its aliases (CNAME). No record is no error.
// kProtocol: it is malformed. kResolve: the server did not answer the question.
[[nodiscard]] Result<DnsAnswer> parse_dns_answer(Bytes message, DnsType type,
                                                 std::string_view name);

}  // namespace ptth
