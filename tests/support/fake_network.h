#pragma once

// A Network whose answers come from the test: it names the addresses, and lets each attempt to
// connect succeed or fail.

#include "common/loop.h"
#include "common/network.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth::test {

// Literals, with port 443.
[[nodiscard]] std::vector<Address> addresses(const std::vector<std::string>& literals);

class FakeNetwork final : public Network {
 public:
  explicit FakeNetwork(Loop& loop);
  ~FakeNetwork() override;
  FakeNetwork(const FakeNetwork&) = delete;
  FakeNetwork& operator=(const FakeNetwork&) = delete;
  FakeNetwork(FakeNetwork&&) = delete;
  FakeNetwork& operator=(FakeNetwork&&) = delete;

  [[nodiscard]] std::unique_ptr<Query> resolve(const std::string& host, uint16_t port,
                                               Resolved resolved) override;
  [[nodiscard]] std::unique_ptr<ConnectAttempt> connect(const Address& address,
                                                        const ConnectAttempt::Options& options,
                                                        ConnectAttempt::Done done) override;

  // Answer the question that was asked last, if it is still under way.
  void resolve_with(const std::vector<std::string>& literals);
  void fail_resolving(const std::string& why);
  // Attempts are numbered from 0 in the order in which they began; nothing happens to those that
  // were cancelled. Without a stream one is made that does nothing.
  void connect(size_t number, std::unique_ptr<ByteStream> stream = nullptr);
  void refuse(size_t number, const std::string& why);

  [[nodiscard]] size_t queries() const { return queries_; }

  // "name:port" of the question that was asked last.
  [[nodiscard]] const std::string& asked() const { return asked_; }

  // Of all attempts so far, also ended ones.
  [[nodiscard]] const std::vector<std::string>& attempted() const { return attempted_; }

  [[nodiscard]] const std::vector<ConnectAttempt::Options>& options() const { return options_; }

  [[nodiscard]] size_t connecting() const;

 private:
  class FakeQuery;
  class FakeAttempt;

  Loop& loop_;
  size_t queries_ = 0;
  std::string asked_;
  FakeQuery* query_ = nullptr;
  std::vector<std::string> attempted_;
  std::vector<ConnectAttempt::Options> options_;
  // Null once it has ended.
  std::vector<FakeAttempt*> attempts_;
};

}  // namespace ptth::test
