// A name server's answer, as SRV and as SVCB records.

#include "common/check.h"
#include "common/dns_message.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace {

constexpr size_t kNameBytesMax = 255;

bool is_host(const std::string& name) {
  return name.size() <= kNameBytesMax &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const char* const name = "_s._tcp.a.example";
  const auto srv = ptth::parse_dns_answer({data, size}, ptth::DnsType::kSrv, name);
  if (srv) {
    for (const ptth::SrvRecord& record : srv.value().srv)
      CHECK_INVARIANT(is_host(record.target));
  }
  const auto svcb = ptth::parse_dns_answer({data, size}, ptth::DnsType::kSvcb, name);
  if (!svcb) return 0;
  for (const ptth::SvcbRecord& record : svcb.value().svcb) {
    CHECK_INVARIANT(is_host(record.target));
    CHECK_INVARIANT(record.priority != 0 || (record.alpn.empty() && !record.port));
    for (const std::string& id : record.alpn)
      CHECK_INVARIANT(!id.empty() && id.size() <= kNameBytesMax);
  }
  return 0;
}
