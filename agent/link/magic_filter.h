#pragma once

// MagicFilter: takes the gateway's magic off the front of a stream on which our session begins
// without waiting for it. What is no magic is the end of the stream: on_failed, kProtocol.

#include "common/byte_stream.h"

#include <memory>

namespace ptth {

// Owns the stream beneath.
[[nodiscard]] std::unique_ptr<ByteStream> make_magic_filter(std::unique_ptr<ByteStream> beneath);

}  // namespace ptth
