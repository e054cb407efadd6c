#include "agent/link/profile.h"

namespace ptth {

Redirect redirect_to(const HttpUri& location, const HttpUri& from) {
  const bool same_place = location.scheme == from.scheme &&
                          location.authority.host == from.authority.host &&
                          location.port() == from.port();
  return {location, same_place};
}

}  // namespace ptth
