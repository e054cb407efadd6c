#include "agent/service_order.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

// Between 0 and 1, without either; the same for the same name.
double chance_of(std::string_view name, uint64_t seed) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
  for (const char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * UINT64_C(0x100000001b3);
  std::mt19937_64 engine(hash);
  return static_cast<double>(engine() >> 11U) * 0x1p-53 + 0x1p-54;
}

}  // namespace

uint64_t make_service_seed() {
  std::random_device device;
  return uint64_t{device()} << 32U | device();
}

// Weighted sampling without replacement (Efraimidis and Spirakis, 2006): the least -ln(u)/w is
// first with a probability in proportion to w.
std::vector<FoundGateway> choose_services(std::vector<Service> services, size_t most,
                                          uint64_t seed) {
  constexpr double kWeightOfNone = 1.0 / 1024;
  std::vector<std::pair<double, FoundGateway>> drawn;
  std::set<std::string> names;
  for (Service& service : services) {
    if (!names.insert(service.gateway.name).second) continue;
    const double weight = service.weight == 0 ? kWeightOfNone : service.weight;
    const double place = -std::log(chance_of(service.gateway.name, seed)) / weight;
    drawn.emplace_back(place, std::move(service.gateway));
  }
  std::sort(drawn.begin(), drawn.end(), [](const auto& left, const auto& right) {
    return std::pair(left.second.priority, left.first) <
           std::pair(right.second.priority, right.first);
  });
  std::vector<FoundGateway> chosen;
  for (auto& [place, gateway] : drawn) {
    if (chosen.size() < most) chosen.push_back(std::move(gateway));
  }
  return chosen;
}

}  // namespace ptth
