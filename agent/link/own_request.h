#pragma once

// What tells a request of the gateway itself from one that it forwards for somebody: the authority
// is the name that we have verified in the gateway's certificate, for no other is known to be the
// gateway's.

#include "common/http_message.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace ptth {

class GatewayName {
 public:
  // host: as verified, a name or an address. port: the one that we dialled.
  GatewayName(std::string host, uint16_t port);

  // The authority of a request is this name, without a port, with that one or with 443.
  [[nodiscard]] bool is_authority(std::string_view authority) const;

 private:
  std::string host_;
  uint16_t port_;
};

// Via, Forwarded or X-Forwarded-For name somebody before the gateway; the last two only where
// ForwardedPolicy leaves them.
[[nodiscard]] bool was_forwarded(const FieldList& fields);

}  // namespace ptth
