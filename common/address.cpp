#include "common/address.h"

#include "common/check.h"

#include <cstring>
#include <netinet/in.h>

#include <uv.h>

namespace ptth {

Address::Address(const sockaddr& raw) {
  const size_t size = raw.sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  CHECK_INVARIANT(raw.sa_family == AF_INET || raw.sa_family == AF_INET6);
  std::memcpy(&storage_, &raw, size);
}

std::optional<Address> Address::from_literal(const std::string& host, uint16_t port) {
  std::string bare = host;
  if (bare.size() > 2 && bare.front() == '[' && bare.back() == ']') {
    bare = bare.substr(1, bare.size() - 2);
  }
  sockaddr_storage storage{};
  if (uv_ip4_addr(bare.c_str(), port, reinterpret_cast<sockaddr_in*>(&storage)) == 0 ||
      uv_ip6_addr(bare.c_str(), port, reinterpret_cast<sockaddr_in6*>(&storage)) == 0) {
    return Address(reinterpret_cast<const sockaddr&>(storage));
  }
  return std::nullopt;
}

const sockaddr& Address::raw() const {
  return reinterpret_cast<const sockaddr&>(storage_);
}

std::string Address::text() const {
  char name[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(storage_);
    uv_ip6_name(&six, name, sizeof name);
    return "[" + std::string(name) + "]:" + std::to_string(ntohs(six.sin6_port));
  }
  const auto& four = reinterpret_cast<const sockaddr_in&>(storage_);
  uv_ip4_name(&four, name, sizeof name);
  return std::string(name) + ":" + std::to_string(ntohs(four.sin_port));
}

bool Address::operator==(const Address& other) const {
  return std::memcmp(&storage_, &other.storage_, sizeof storage_) == 0;
}

bool Address::operator<(const Address& other) const {
  return std::memcmp(&storage_, &other.storage_, sizeof storage_) < 0;
}

}  // namespace ptth
