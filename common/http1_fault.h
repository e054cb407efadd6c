#pragma once

// What can be wrong with HTTP/1.1 text that others sent. One word per rule, so that tests and
// metrics can tell them apart; the parsers turn it into an Error.

#include "common/error.h"

#include <cstdint>
#include <string_view>

namespace ptth {

enum class Http1Fault : uint8_t {
  kNone,
  kHeadTooLarge,       // Start line and fields, or trailers, are over their limit.
  kTooManyFields,      //
  kBareLf,             // A line ends without CR.
  kStartLine,          // No status line or request line.
  kVersion,            // Neither HTTP/1.0 nor HTTP/1.1.
  kStatus,             // Not 100 to 599, or 101 that nobody asked for.
  kFolding,            // A field line that continues the one before (obs-fold).
  kFieldName,          // Not a token directly followed by a colon.
  kFieldValue,         // A control byte.
  kConnection,         // Too many options.
  kContentLength,      // Not one decimal number.
  kTransferEncoding,   // Other than a single "chunked", or in HTTP/1.0.
  kAmbiguousLength,    // Content-Length and Transfer-Encoding.
  kChunkSize,          // Not a hexadecimal number, or one that overflows.
  kChunkExtension,     // Malformed, or too long.
  kChunkEnd,           // No CRLF behind the data of a chunk.
  kTarget,             // Request target in no form that we serve.
  kHost,               // Missing, repeated, malformed, or other than the target's authority.
  kExpectation,        // Expect, other than 100-continue.
  kMethodUnsupported,  // CONNECT.
  kUnexpectedEnd,      // The stream ended inside a message.
};

[[nodiscard]] std::string_view to_string(Http1Fault fault);
// side is who sent the text. kTooLarge for the limits, kClosed for the unexpected end, otherwise
// kProtocol (origin) or kBadRequest (gateway).
[[nodiscard]] Error to_error(Http1Fault fault, Side side);

}  // namespace ptth
