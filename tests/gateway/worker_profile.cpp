#include "tests/gateway/worker_profile.h"

namespace ptth::dev {

std::string_view to_string(WorkerProfile profile) {
  switch (profile) {
    case WorkerProfile::kHaproxy:
      return "haproxy";
    case WorkerProfile::kDirect:
      return "direct";
    case WorkerProfile::kPotato:
      return "potato";
    case WorkerProfile::kH2Reverse:
      return "h2-reverse";
    case WorkerProfile::kPtth:
      return "ptth";
    case WorkerProfile::kReverse:
      return "reverse";
  }
  return "unknown";
}

bool worker_sends_magic(WorkerProfile profile) {
  return profile == WorkerProfile::kHaproxy;
}

bool asks_by_request(WorkerProfile profile) {
  return profile == WorkerProfile::kPtth || profile == WorkerProfile::kReverse;
}

}  // namespace ptth::dev
