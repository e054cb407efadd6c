#pragma once

// The hello of the profiles in which the gateway speaks first (protocols.md sections 0 and 5):
// none. We are silent until the gateway, as the HTTP/2 client, has sent its magic.

#include "agent/link/profile.h"
#include "common/byte_stream.h"
#include "common/loop.h"

#include <memory>

namespace ptth {

// As Profile::reverse.
[[nodiscard]] std::unique_ptr<ByteStream> make_magic_stream(Loop& loop,
                                                            std::unique_ptr<ByteStream> connected,
                                                            Profile::Listener& listener);

// The same where the gateway is a client of HTTP/1.1, which has no magic: reversed at once.
[[nodiscard]] std::unique_ptr<ByteStream> make_http1_stream(Loop& loop,
                                                            std::unique_ptr<ByteStream> connected,
                                                            Profile::Listener& listener);

}  // namespace ptth
