#pragma once

#include <cstdint>

// The codes of RST_STREAM and GOAWAY that we send or look for (RFC 9113 section 7).
namespace ptth::http2 {

inline constexpr uint32_t kNoError = 0x0;
inline constexpr uint32_t kProtocolError = 0x1;
inline constexpr uint32_t kInternalError = 0x2;
inline constexpr uint32_t kRefusedStream = 0x7;
inline constexpr uint32_t kCancel = 0x8;
inline constexpr uint32_t kEnhanceYourCalm = 0xb;

}  // namespace ptth::http2
