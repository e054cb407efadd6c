#include "common/error.h"

namespace ptth {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kResolve:
      return "resolve";
    case ErrorKind::kUnreachable:
      return "unreachable";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kClosed:
      return "closed";
    case ErrorKind::kProtocol:
      return "protocol";
    case ErrorKind::kAbuse:
      return "abuse";
    case ErrorKind::kCertificate:
      return "certificate";
    case ErrorKind::kRefused:
      return "refused";
    case ErrorKind::kUnavailable:
      return "unavailable";
    case ErrorKind::kOverload:
      return "overload";
    case ErrorKind::kDraining:
      return "draining";
    case ErrorKind::kTooLarge:
      return "too_large";
    case ErrorKind::kBadRequest:
      return "bad_request";
    case ErrorKind::kNotAllowed:
      return "not_allowed";
    case ErrorKind::kMisdirected:
      return "misdirected";
    case ErrorKind::kLoop:
      return "loop";
    case ErrorKind::kCancelled:
      return "cancelled";
    case ErrorKind::kConfiguration:
      return "configuration";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string_view to_string(Side side) {
  switch (side) {
    case Side::kGateway:
      return "gateway";
    case Side::kOrigin:
      return "origin";
    case Side::kLocal:
      return "local";
  }
  return "unknown";
}

}  // namespace ptth
