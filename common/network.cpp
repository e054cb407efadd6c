#include "common/network.h"

#include "common/lookup.h"

#include <algorithm>
#include <list>
#include <netdb.h>
#include <random>
#include <utility>

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

Error resolve_error(const std::string& host, const std::string& reason) {
  return {ErrorKind::kResolve, Side::kLocal,
          "cannot resolve \"" + host + "\": " + reason + " (check the name and this host's DNS)",
          true};
}

std::string reason_of(int status) {
  switch (status) {
    case 0:
    case EAI_NONAME:
      return "no such name, or no address";
    case EAI_AGAIN:
      return "the name servers do not answer";
    default:
      return gai_strerror(status);
  }
}

class SystemNetwork final : public Network {
 public:
  explicit SystemNetwork(Loop& loop) : loop_(loop), turn_(std::random_device()()) {}

  std::unique_ptr<Query> resolve(const std::string& host, uint16_t port,
                                 Resolved resolved) override;

  std::unique_ptr<ConnectAttempt> connect(const Address& address,
                                          const ConnectAttempt::Options& options,
                                          ConnectAttempt::Done done) override {
    return ConnectAttempt::tcp(loop_, address.raw(), options, std::move(done));
  }

 private:
  class SystemQuery;

  // A name that is being looked up, and who waits for it. It goes on when nobody does any more, and
  // those who ask for it meanwhile join: a name whose servers hang holds one thread, not one for
  // each link and attempt.
  struct Name {
    std::string host;
    uint16_t port = 0;
    std::unique_ptr<Lookup> lookup;
    std::list<SystemQuery*> waiting;
  };

  class SystemQuery final : public Query {
   public:
    SystemQuery(Loop& loop, Resolved resolved)
        : resolved_(std::move(resolved)), later_(loop, [this] { resolved_(error_); }) {}

    ~SystemQuery() override {
      if (name_ != nullptr) name_->waiting.remove(this);
    }

    SystemQuery(const SystemQuery&) = delete;
    SystemQuery& operator=(const SystemQuery&) = delete;
    SystemQuery(SystemQuery&&) = delete;
    SystemQuery& operator=(SystemQuery&&) = delete;

    void wait_for(Name& name) {
      name_ = &name;
      name.waiting.push_back(this);
    }

    void fail_later(Error error) {
      error_ = std::move(error);
      later_.schedule();
    }

    void finish(const Result<std::vector<Address>>& result) {
      name_ = nullptr;
      resolved_(result);
    }

   private:
    Resolved resolved_;
    Name* name_ = nullptr;
    Error error_;
    EndOfTurn later_;
  };

  Name* find_or_start(const std::string& host, uint16_t port);
  void answer(Name* name, int status, const addrinfo* found);

  Loop& loop_;
  uint64_t turn_;
  std::list<std::unique_ptr<Name>> names_;
};

std::unique_ptr<Network::Query> SystemNetwork::resolve(const std::string& host, uint16_t port,
                                                       Resolved resolved) {
  auto query = std::make_unique<SystemQuery>(loop_, std::move(resolved));
  if (Name* name = find_or_start(host, port)) {
    query->wait_for(*name);
  } else {
    query->fail_later(resolve_error(host, "this host gives us no thread for it"));
  }
  return query;
}

SystemNetwork::Name* SystemNetwork::find_or_start(const std::string& host, uint16_t port) {
  for (const auto& name : names_) {
    if (name->host == host && name->port == port) return name.get();
  }
  auto name = std::make_unique<Name>();
  name->host = host;
  name->port = port;
  name->lookup = Lookup::start(
      loop_, host, port,
      [this, raw = name.get()](int status, const addrinfo* found) { answer(raw, status, found); });
  if (!name->lookup) return nullptr;
  names_.push_back(std::move(name));
  return names_.back().get();
}

void SystemNetwork::answer(Name* name, int status, const addrinfo* found) {
  const auto entry = std::find_if(names_.begin(), names_.end(),
                                  [&](const auto& candidate) { return candidate.get() == name; });
  CHECK_INVARIANT(entry != names_.end());
  std::unique_ptr<Name> answered = std::move(*entry);
  names_.erase(entry);
  Result<std::vector<Address>> result = resolve_error(answered->host, reason_of(status));
  if (status == 0) {
    std::vector<Address> addresses = in_stable_order(found, turn_);
    if (!addresses.empty()) result = std::move(addresses);
  }
  // A callback may cancel other queries.
  while (!answered->waiting.empty()) {
    SystemQuery* query = answered->waiting.front();
    answered->waiting.pop_front();
    query->finish(result);
  }
  loop_.retire(std::move(answered));
}

}  // namespace

std::unique_ptr<Network> make_system_network(Loop& loop) {
  return std::make_unique<SystemNetwork>(loop);
}

}  // namespace ptth
