#include "common/socket_error.h"

#include <uv.h>

namespace ptth {

Error connect_error(int code, Side peer, const std::string& name) {
  const auto unreachable = [&](const std::string& what) {
    return Error{ErrorKind::kUnreachable, peer, what, true};
  };
  const auto local = [&](const std::string& what) {
    return Error{ErrorKind::kInternal, Side::kLocal, what, true};
  };
  switch (code) {
    case UV_ECONNREFUSED:
      return unreachable("connection refused by " + name);
    case UV_ETIMEDOUT:
      return {ErrorKind::kTimeout, peer, "no answer from " + name, true};
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_EADDRNOTAVAIL:
      return unreachable("no route to " + name);
    case UV_ENOENT:
      return unreachable("there is no socket at " + name);
    case UV_EAGAIN:
      return unreachable("the queue of waiting connections is full at " + name);
    case UV_EMFILE:
    case UV_ENFILE:
      return local("no file descriptor is left for a connection to " + name);
    case UV_ENOBUFS:
    case UV_ENOMEM:
      return local("no memory is left for a connection to " + name);
    default:
      return unreachable("cannot connect to " + name + ": " + uv_strerror(code));
  }
}

Error transfer_error(int code, Side peer, const std::string& name) {
  switch (code) {
    case UV_ECONNRESET:
      return {ErrorKind::kClosed, peer, "connection reset by " + name};
    case UV_EPIPE:
      return {ErrorKind::kClosed, peer, "connection closed by " + name};
    case UV_ETIMEDOUT:
      return {ErrorKind::kTimeout, peer, name + " does not acknowledge what was sent"};
    default:
      return {ErrorKind::kClosed, peer, "connection to " + name + " lost: " + uv_strerror(code)};
  }
}

}  // namespace ptth
