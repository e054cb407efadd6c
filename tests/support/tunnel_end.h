#pragma once

// The gateway's end of a channel inside an extended CONNECT (RFC 8441), frame by frame: says yes to
// whatever is asked, and gives more credit than any test needs.

#include "common/byte_stream.h"

#include <memory>

namespace ptth::test {

// Owns the stream beneath. What is written before the worker has asked leaves behind the yes.
[[nodiscard]] std::unique_ptr<ByteStream> make_tunnel_end(std::unique_ptr<ByteStream> beneath);

}  // namespace ptth::test
