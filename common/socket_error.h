#pragma once

// What libuv says of a socket, as an Error for people. For tcp_stream.cpp.

#include "common/error.h"

#include <string>

namespace ptth {

// Why a connection could not be made.
[[nodiscard]] Error connect_error(int code, Side peer, const std::string& name);
// Why an established one is over.
[[nodiscard]] Error transfer_error(int code, Side peer, const std::string& name);

}  // namespace ptth
