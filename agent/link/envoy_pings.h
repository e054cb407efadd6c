#pragma once

// EnvoyPings: what an Envoy sends on a connection that it keeps for later (protocols.md section 6):
// keepalives of five bytes, "RPING", and then the beginning of something else. It reads bytes and
// holds neither stream nor timer.

#include "common/byte_stream.h"
#include "common/token_bucket.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ptth {

class EnvoyPings {
 public:
  static constexpr std::string_view kPing = "RPING";

  enum class Next : uint8_t {
    kNeedMore,  // All of the bytes are taken.
    kMagic,     // The bytes that are left begin as HTTP/2 does,
    kTls,       // or as a TLS handshake.
    kOther,     // Neither; also a ping that breaks off.
    kTooMany,
  };

  // rate: of pings.
  explicit EnvoyPings(const Rate& rate) : bucket_(rate) {}

  // Takes pings from the front of the bytes; whole counts those that end in them. After anything
  // but kNeedMore it wants no more.
  [[nodiscard]] Next take(Bytes& bytes, uint64_t now_ms, size_t& whole);

 private:
  TokenBucket bucket_;
  size_t matched_ = 0;  // Of a ping that is not whole.
};

}  // namespace ptth
