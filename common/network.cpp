#include "common/network.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <netdb.h>
#include <random>
#include <utility>

#include <uv.h>

namespace ptth {

namespace {

// The family that the system's resolver put first stays first (RFC 6724); inside a family the order
// is by bytes, turned by a number that each process draws for itself.
std::vector<Address> in_stable_order(const addrinfo* found, uint64_t turn) {
  std::vector<Address> preferred;
  std::vector<Address> others;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    const Address address(*entry->ai_addr);
    const bool first = preferred.empty() || preferred.front().family() == address.family();
    (first ? preferred : others).push_back(address);
  }
  for (auto* family : {&preferred, &others}) {
    std::sort(family->begin(), family->end());
    family->erase(std::unique(family->begin(), family->end()), family->end());
    if (family->empty()) continue;
    const auto middle = static_cast<std::ptrdiff_t>(turn % family->size());
    std::rotate(family->begin(), family->begin() + middle, family->end());
  }
  preferred.insert(preferred.end(), others.begin(), others.end());
  return preferred;
}

Error resolve_error(const std::string& host, int status) {
  std::string reason = uv_strerror(status);
  if (status == UV_EAI_NONAME || status == UV_EAI_NODATA) reason = "no such name, or no address";
  if (status == UV_EAI_AGAIN) reason = "the name servers do not answer";
  return {ErrorKind::kResolve, Side::kLocal,
          "cannot resolve \"" + host + "\": " + reason + " (check the name and this host's DNS)",
          true};
}

class SystemNetwork final : public Network {
 public:
  explicit SystemNetwork(Loop& loop) : loop_(loop), turn_(make_turn()) {}

  ~SystemNetwork() override {
    for (Lookup* lookup : lookups_) {
      lookup->network = nullptr;
      uv_cancel(reinterpret_cast<uv_req_t*>(&lookup->request));
    }
  }

  SystemNetwork(const SystemNetwork&) = delete;
  SystemNetwork& operator=(const SystemNetwork&) = delete;
  SystemNetwork(SystemNetwork&&) = delete;
  SystemNetwork& operator=(SystemNetwork&&) = delete;

  std::unique_ptr<Query> resolve(const std::string& host, uint16_t port,
                                 Resolved resolved) override;

  std::unique_ptr<ConnectAttempt> connect(const Address& address,
                                          const ConnectAttempt::Options& options,
                                          ConnectAttempt::Done done) override {
    return ConnectAttempt::tcp(loop_, address.raw(), options, std::move(done));
  }

 private:
  class SystemQuery;

  // One getaddrinfo under way. It cannot be stopped once a thread has it, so it belongs to libuv
  // until it ends, and those who ask for the same name meanwhile wait for it: a name whose servers
  // hang holds one thread, not one for each link and attempt.
  struct Lookup {
    uv_getaddrinfo_t request{};
    SystemNetwork* network = nullptr;
    std::string host;
    uint16_t port = 0;
    std::list<SystemQuery*> waiting;
  };

  class SystemQuery final : public Query {
   public:
    SystemQuery(Loop& loop, Lookup* lookup, Resolved resolved)
        : resolved_(std::move(resolved)), lookup_(lookup), later_(loop, [this] { fail(); }) {
      if (lookup_ != nullptr) lookup_->waiting.push_back(this);
    }

    ~SystemQuery() override {
      if (lookup_ != nullptr) lookup_->waiting.remove(this);
    }

    SystemQuery(const SystemQuery&) = delete;
    SystemQuery& operator=(const SystemQuery&) = delete;
    SystemQuery(SystemQuery&&) = delete;
    SystemQuery& operator=(SystemQuery&&) = delete;

    void fail_later(Error error) {
      error_ = std::move(error);
      later_.schedule();
    }

    void finish(Result<std::vector<Address>> result) {
      lookup_ = nullptr;
      resolved_(std::move(result));
    }

   private:
    void fail() { resolved_(error_); }

    Resolved resolved_;
    Lookup* lookup_;
    Error error_;
    EndOfTurn later_;
  };

  static uint64_t make_turn() {
    std::random_device device;
    return device();
  }

  Lookup* find_or_start(const std::string& host, uint16_t port, int& status);
  static void on_looked_up(uv_getaddrinfo_t* request, int status, addrinfo* found) noexcept;
  void answer(Lookup& lookup, int status, const addrinfo* found);

  Loop& loop_;
  uint64_t turn_;
  std::list<Lookup*> lookups_;
};

std::unique_ptr<Network::Query> SystemNetwork::resolve(const std::string& host, uint16_t port,
                                                       Resolved resolved) {
  int status = 0;
  Lookup* lookup = find_or_start(host, port, status);
  auto query = std::make_unique<SystemQuery>(loop_, lookup, std::move(resolved));
  if (lookup == nullptr) query->fail_later(resolve_error(host, status));
  return query;
}

SystemNetwork::Lookup* SystemNetwork::find_or_start(const std::string& host, uint16_t port,
                                                    int& status) {
  for (Lookup* lookup : lookups_) {
    if (lookup->host == host && lookup->port == port) return lookup;
  }
  auto lookup = std::make_unique<Lookup>();
  lookup->network = this;
  lookup->host = host;
  lookup->port = port;
  lookup->request.data = lookup.get();
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  // No AI_ADDRCONFIG: it hides loopback addresses on hosts without a network, and an address
  // without a route fails at once anyway.
  const std::string service = std::to_string(port);
  status = uv_getaddrinfo(loop_.uv(), &lookup->request, &SystemNetwork::on_looked_up, host.c_str(),
                          service.c_str(), &hints);
  if (status != 0) return nullptr;
  lookups_.push_back(lookup.get());
  return lookup.release();
}

void SystemNetwork::on_looked_up(uv_getaddrinfo_t* request, int status, addrinfo* found) noexcept {
  const std::unique_ptr<Lookup> lookup(static_cast<Lookup*>(request->data));
  if (lookup->network != nullptr) lookup->network->answer(*lookup, status, found);
  uv_freeaddrinfo(found);
}

void SystemNetwork::answer(Lookup& lookup, int status, const addrinfo* found) {
  lookups_.remove(&lookup);
  Result<std::vector<Address>> result =
      resolve_error(lookup.host, status == 0 ? UV_EAI_NODATA : status);
  if (status == 0) {
    std::vector<Address> addresses = in_stable_order(found, turn_);
    if (!addresses.empty()) result = std::move(addresses);
  }
  // A callback may cancel other queries.
  while (!lookup.waiting.empty()) {
    SystemQuery* query = lookup.waiting.front();
    lookup.waiting.pop_front();
    query->finish(result);
  }
}

}  // namespace

std::unique_ptr<Network> make_system_network(Loop& loop) {
  return std::make_unique<SystemNetwork>(loop);
}

}  // namespace ptth
