#include "agent/link/magic_check.h"

#include "agent/link/client_magic.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace ptth {

std::string what_came_instead(Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.substr(0, 5) == "HTTP/") {
    return "an HTTP/1 answer (the gateway does not reverse connections on this port, or not with "
           "this profile)";
  }
  // Length 0..255, type SETTINGS, stream 0.
  if (bytes.size() > 3 && bytes[0] == 0 && bytes[1] == 0 && bytes[3] == 4) {
    return "an HTTP/2 SETTINGS frame (the gateway expects us to send the magic: try --profile "
           "haproxy)";
  }
  return "other bytes";
}

MagicCheck::Status MagicCheck::take(Bytes& bytes) {
  const size_t count = std::min(bytes.size(), kClientMagic.size() - verified_);
  const auto* const expected = kClientMagic.data() + verified_;
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count), expected)) {
    return Status::kWrong;
  }
  verified_ += count;
  bytes = bytes.subspan(count);
  return verified_ == kClientMagic.size() ? Status::kDone : Status::kNeedMore;
}

Error MagicCheck::error(Bytes rest) const {
  return {ErrorKind::kProtocol, Side::kGateway,
          "the gateway did not begin with the HTTP/2 client magic but with " +
              (verified_ == 0 ? what_came_instead(rest) : "other bytes"),
          false};
}

}  // namespace ptth
