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
    case WorkerProfile::kPtthConnect:
      return "ptth-connect";
    case WorkerProfile::kReverseConnect:
      return "reverse-connect";
    case WorkerProfile::kEnvoy:
      return "envoy";
    case WorkerProfile::kPtth10:
      return "ptth-1.0";
  }
  return "unknown";
}

std::string_view to_string(Channel channel) {
  return channel == Channel::kHttp1 ? "http/1.1" : "h2";
}

std::string_view source_of(WorkerProfile profile) {
  switch (profile) {
    case WorkerProfile::kHaproxy:
    case WorkerProfile::kDirect:
      return "RFC 9113";
    case WorkerProfile::kPotato:
      return "draft-thomson-ptth-potato";
    case WorkerProfile::kH2Reverse:
      return "draft-bt-httpbis-reverse-http";
    case WorkerProfile::kPtth:
    case WorkerProfile::kPtthConnect:
      return "draft-kazuho-ptth-ptth";
    case WorkerProfile::kReverse:
    case WorkerProfile::kReverseConnect:
      return "draft-kazuho-httpbis-reverse-tunnel";
    case WorkerProfile::kEnvoy:
      return "Envoy's reverse_tunnel filter";
    case WorkerProfile::kPtth10:
      return "draft-lentczner-rhttp";
  }
  return "unknown";
}

bool worker_sends_magic(WorkerProfile profile) {
  return profile == WorkerProfile::kHaproxy;
}

bool asks_by_request(WorkerProfile profile) {
  return profile == WorkerProfile::kPtth || profile == WorkerProfile::kReverse ||
         waits_unused(profile);
}

bool asks_by_connect(WorkerProfile profile) {
  return profile == WorkerProfile::kPtthConnect || profile == WorkerProfile::kReverseConnect;
}

bool registers_origins(WorkerProfile profile) {
  return profile == WorkerProfile::kPtth || profile == WorkerProfile::kPtthConnect;
}

bool waits_unused(WorkerProfile profile) {
  return profile == WorkerProfile::kEnvoy || profile == WorkerProfile::kPtth10;
}

}  // namespace ptth::dev
