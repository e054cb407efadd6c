#include "agent/healthcheck.h"

#include "agent/admin_client.h"

#include <string>
#include <utility>

namespace ptth {

Result<void> check_health(const std::string& address, Milliseconds timeout) {
  constexpr int kOk = 200;
  constexpr size_t kDetailBytesMax = 512;
  Result<AdminAnswer> answer = ask_admin(address, "GET", "/readyz", timeout);
  if (!answer) return answer.error();
  if (answer.value().status == kOk) return {};
  std::string detail = answer.value().body.substr(0, kDetailBytesMax);
  while (detail.ends_with('\n'))
    detail.pop_back();
  return Error{ErrorKind::kUnreachable, Side::kLocal,
               std::to_string(answer.value().status) + " " + detail};
}

}  // namespace ptth
