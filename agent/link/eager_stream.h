#pragma once

// The hello of the profiles in which we begin (protocols.md sections 1 and 4): the session starts
// as soon as the connection stands, whatever the gateway does.

#include "agent/link/profile.h"
#include "common/byte_stream.h"
#include "common/loop.h"

#include <memory>

namespace ptth {

// As Profile::reverse. first: what is sent before the session's first frame; may be empty.
[[nodiscard]] std::unique_ptr<ByteStream> make_eager_stream(Loop& loop,
                                                            std::unique_ptr<ByteStream> connected,
                                                            Bytes first,
                                                            Profile::Listener& listener);

}  // namespace ptth
