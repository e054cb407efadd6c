#include "common/http1_fault.h"

#include <string>

namespace ptth {

std::string_view to_string(Http1Fault fault) {
  switch (fault) {
    case Http1Fault::kNone:
      return "none";
    case Http1Fault::kHeadTooLarge:
      return "head too large";
    case Http1Fault::kTooManyFields:
      return "too many fields";
    case Http1Fault::kBareLf:
      return "line feed without carriage return";
    case Http1Fault::kStartLine:
      return "malformed start line";
    case Http1Fault::kVersion:
      return "unsupported HTTP version";
    case Http1Fault::kStatus:
      return "status out of place";
    case Http1Fault::kFolding:
      return "folded field line";
    case Http1Fault::kFieldName:
      return "malformed field name";
    case Http1Fault::kFieldValue:
      return "control byte in a field value";
    case Http1Fault::kConnection:
      return "too many Connection options";
    case Http1Fault::kContentLength:
      return "malformed or repeated Content-Length";
    case Http1Fault::kTransferEncoding:
      return "unsupported Transfer-Encoding";
    case Http1Fault::kAmbiguousLength:
      return "both Content-Length and Transfer-Encoding";
    case Http1Fault::kChunkSize:
      return "malformed chunk size";
    case Http1Fault::kChunkExtension:
      return "malformed or oversized chunk extension";
    case Http1Fault::kChunkEnd:
      return "chunk longer than its size";
    case Http1Fault::kTarget:
      return "malformed request target";
    case Http1Fault::kHost:
      return "missing, repeated or malformed Host";
    case Http1Fault::kExpectation:
      return "unknown expectation";
    case Http1Fault::kMethodUnsupported:
      return "unsupported method";
    case Http1Fault::kUnexpectedEnd:
      return "connection closed inside a message";
  }
  return "unknown";
}

Error to_error(Http1Fault fault, Side side) {
  ErrorKind kind = side == Side::kOrigin ? ErrorKind::kProtocol : ErrorKind::kBadRequest;
  if (fault == Http1Fault::kHeadTooLarge || fault == Http1Fault::kTooManyFields) {
    kind = ErrorKind::kTooLarge;
  } else if (fault == Http1Fault::kUnexpectedEnd) {
    kind = ErrorKind::kClosed;
  }
  return {kind, side, "HTTP/1.1: " + std::string(to_string(fault)), false};
}

}  // namespace ptth
