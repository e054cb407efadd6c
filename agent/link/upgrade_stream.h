#pragma once

// The hello of the profiles that ask for an upgrade over HTTP/1.1 (protocols.md sections 2 and 3):
// a request, its answer, and then the whole connection is the gateway's, who is the HTTP client on
// it. Each such profile brings its spec.

#include "agent/link/hello_request.h"
#include "agent/link/hello_spec.h"
#include "agent/link/profile.h"

#include <memory>

namespace ptth {

// The spec outlives the hello. An empty credentials function brings none.
[[nodiscard]] std::unique_ptr<ByteStream> make_upgrade_stream(Loop& loop,
                                                              std::unique_ptr<ByteStream> connected,
                                                              const HelloSpec& spec,
                                                              const HelloCredentials& credentials,
                                                              Profile::Listener& listener);

// A profile of that kind.
[[nodiscard]] std::unique_ptr<Profile> make_upgrade_profile(std::string_view name, HelloSpec spec,
                                                            HelloCredentials credentials);

}  // namespace ptth
