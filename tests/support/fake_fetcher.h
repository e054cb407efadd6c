#pragma once

// A Fetcher whose answers come from the test.

#include "common/check.h"
#include "common/fetch.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ptth::test {

class FakeFetcher final : public Fetcher {
 public:
  explicit FakeFetcher(Loop& loop) : loop_(loop) {}

  [[nodiscard]] std::unique_ptr<Call> fetch(FetchRequest request, Done done) override {
    requests.push_back(std::move(request));
    auto call = std::make_unique<FakeCall>(*this, std::move(done));
    CHECK_INVARIANT(current_ == nullptr);
    current_ = call.get();
    return call;
  }

  // Ends the fetch that is under way, and lets what follows from that happen.
  void answer(Result<FetchResponse> response) {
    CHECK_INVARIANT(current_ != nullptr);
    std::exchange(current_, nullptr)->done(std::move(response));
    loop_.turn();
  }

  void answer(int status, std::string body, const std::string& retry_after = {}) {
    FetchResponse response;
    response.status = status;
    response.body = std::move(body);
    if (!retry_after.empty()) response.fields.add("retry-after", retry_after);
    answer(std::move(response));
  }

  [[nodiscard]] bool fetching() const { return current_ != nullptr; }

  std::vector<FetchRequest> requests;

 private:
  struct FakeCall final : Call {
    FakeCall(FakeFetcher& owner, Done when_done) : fetcher(owner), done(std::move(when_done)) {}

    ~FakeCall() override {
      if (fetcher.current_ == this) fetcher.current_ = nullptr;
    }

    FakeCall(const FakeCall&) = delete;
    FakeCall& operator=(const FakeCall&) = delete;
    FakeCall(FakeCall&&) = delete;
    FakeCall& operator=(FakeCall&&) = delete;

    FakeFetcher& fetcher;
    Done done;
  };

  Loop& loop_;
  FakeCall* current_ = nullptr;
};

}  // namespace ptth::test
