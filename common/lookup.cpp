#include "common/lookup.h"

#include <netdb.h>
#include <utility>

namespace ptth {

namespace {

Errand::Done resolve(const std::string& host, const std::string& service,
                     const Lookup::Done& done) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  // No AI_ADDRCONFIG: it hides loopback addresses on hosts without a network, and an address
  // without a route fails at once anyway.
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), service.c_str(), &hints, &found);
  // A function must be copyable, so the list is shared by its copies.
  const std::shared_ptr<addrinfo> list(found, [](addrinfo* entries) {
    if (entries != nullptr) freeaddrinfo(entries);
  });
  return [done, status, list] { done(status, list.get()); };
}

}  // namespace

Lookup::Lookup(std::unique_ptr<Errand> errand) : errand_(std::move(errand)) {}

std::unique_ptr<Lookup> Lookup::start(Loop& loop, const std::string& host, uint16_t port,
                                      Done done) {
  auto errand = Errand::start(loop, [host, service = std::to_string(port), done = std::move(done)] {
    return resolve(host, service, done);
  });
  if (!errand) return nullptr;
  return std::unique_ptr<Lookup>(new Lookup(std::move(errand)));
}

}  // namespace ptth
