#include "agent/link/envoy_pings.h"

namespace ptth {

namespace {

// The first bytes of PRI (RFC 9113 section 3.4) and of a ClientHello's record (RFC 8446
// section 5.1).
constexpr uint8_t kMagicBegin = 'P';
constexpr uint8_t kHandshakeRecord = 0x16;

}  // namespace

EnvoyPings::Next EnvoyPings::take(Bytes& bytes, uint64_t now_ms, size_t& whole) {
  whole = 0;
  while (!bytes.empty()) {
    if (matched_ == 0 && bytes.front() == kMagicBegin) return Next::kMagic;
    if (matched_ == 0 && bytes.front() == kHandshakeRecord) return Next::kTls;
    if (bytes.front() != static_cast<uint8_t>(kPing[matched_])) return Next::kOther;
    bytes = bytes.subspan(1);
    if (++matched_ < kPing.size()) continue;
    matched_ = 0;
    bucket_.take(now_ms);
    if (bucket_.exhausted()) return Next::kTooMany;
    ++whole;
  }
  return Next::kNeedMore;
}

}  // namespace ptth
