#include "tests/support/fake_network.h"

#include <algorithm>
#include <utility>

namespace ptth::test {

namespace {

class DeafStream final : public ByteStream {
 public:
  void set_listener(Listener*) override {}

  void write(Bytes) override {}

  [[nodiscard]] size_t unsent_bytes() const override { return 0; }

  void pause_reading() override {}

  void resume_reading() override {}

  void shutdown() override {}
};

}  // namespace

class FakeNetwork::FakeQuery final : public Query {
 public:
  FakeQuery(FakeNetwork& network, Resolved resolved)
      : network_(network), resolved_(std::move(resolved)) {}

  ~FakeQuery() override {
    if (network_.query_ == this) network_.query_ = nullptr;
  }

  FakeQuery(const FakeQuery&) = delete;
  FakeQuery& operator=(const FakeQuery&) = delete;
  FakeQuery(FakeQuery&&) = delete;
  FakeQuery& operator=(FakeQuery&&) = delete;

  void answer(const Result<std::vector<Address>>& result) {
    network_.query_ = nullptr;
    resolved_(result);
  }

 private:
  FakeNetwork& network_;
  Resolved resolved_;
};

class FakeNetwork::FakeAttempt final : public ConnectAttempt {
 public:
  FakeAttempt(FakeNetwork& network, size_t number, Done done)
      : network_(network), number_(number), done_(std::move(done)) {}

  ~FakeAttempt() override { network_.attempts_[number_] = nullptr; }

  FakeAttempt(const FakeAttempt&) = delete;
  FakeAttempt& operator=(const FakeAttempt&) = delete;
  FakeAttempt(FakeAttempt&&) = delete;
  FakeAttempt& operator=(FakeAttempt&&) = delete;

  void answer(Result<std::unique_ptr<ByteStream>> result) {
    network_.attempts_[number_] = nullptr;
    done_(std::move(result));
  }

 private:
  FakeNetwork& network_;
  size_t number_;
  Done done_;
};

std::vector<Address> addresses(const std::vector<std::string>& literals) {
  std::vector<Address> list;
  for (const std::string& literal : literals) {
    const auto address = Address::from_literal(literal, 443);
    CHECK_INVARIANT(address.has_value());
    list.push_back(*address);
  }
  return list;
}

FakeNetwork::FakeNetwork(Loop& loop) : loop_(loop) {}

FakeNetwork::~FakeNetwork() {
  // What was retired in the last turn still knows us.
  loop_.turn();
}

std::unique_ptr<Network::Query> FakeNetwork::resolve(const std::string& host, uint16_t port,
                                                     Resolved resolved) {
  ++queries_;
  asked_ = host + ":" + std::to_string(port);
  auto query = std::make_unique<FakeQuery>(*this, std::move(resolved));
  query_ = query.get();
  return query;
}

std::unique_ptr<ConnectAttempt> FakeNetwork::connect(const Address& address,
                                                     const ConnectAttempt::Options& options,
                                                     ConnectAttempt::Done done) {
  attempted_.push_back(address.text());
  options_.push_back(options);
  auto attempt = std::make_unique<FakeAttempt>(*this, attempts_.size(), std::move(done));
  attempts_.push_back(attempt.get());
  return attempt;
}

void FakeNetwork::resolve_with(const std::vector<std::string>& literals) {
  if (query_ != nullptr) query_->answer(addresses(literals));
}

void FakeNetwork::fail_resolving(const std::string& why) {
  if (query_ != nullptr) query_->answer(Error{ErrorKind::kResolve, Side::kGateway, why, true});
}

void FakeNetwork::connect(size_t number, std::unique_ptr<ByteStream> stream) {
  CHECK_INVARIANT(number < attempts_.size());
  if (!stream) stream = std::make_unique<DeafStream>();
  if (attempts_[number] != nullptr) attempts_[number]->answer(std::move(stream));
}

void FakeNetwork::refuse(size_t number, const std::string& why) {
  CHECK_INVARIANT(number < attempts_.size());
  if (attempts_[number] == nullptr) return;
  attempts_[number]->answer(Error{ErrorKind::kUnreachable, Side::kGateway, why, true});
}

size_t FakeNetwork::connecting() const {
  return static_cast<size_t>(
      std::count_if(attempts_.begin(), attempts_.end(),
                    [](const FakeAttempt* attempt) { return attempt != nullptr; }));
}

}  // namespace ptth::test
