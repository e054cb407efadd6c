#include "agent/link/profile.h"

#include "agent/link/tunnel_stream.h"
#include "common/check.h"

namespace ptth {

Redirect redirect_to(const HttpUri& location, const HttpUri& from) {
  const bool same_place = location.scheme == from.scheme &&
                          location.authority.host == from.authority.host &&
                          location.port() == from.port();
  return {location, same_place};
}

std::unique_ptr<ByteStream> Profile::reverse_lent(Loop& /*loop*/,
                                                  std::unique_ptr<TunnelStream> /*tunnel*/,
                                                  Listener& /*listener*/) const {
  CHECK_INVARIANT(false && "the channels of this profile cannot share a connection");
  return nullptr;
}

}  // namespace ptth
