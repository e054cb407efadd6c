#pragma once

// TokenSource: the access token of one gateway over time. It is fetched ahead of its end, kept in
// memory only, and given out until it ends; a token endpoint that fails is asked again, ever more
// rarely, and harms no link that is up.

#include "agent/link/backoff.h"
#include "agent/link/oauth_exchange.h"
#include "common/fetch.h"
#include "common/log.h"
#include "common/metrics.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace ptth {

class TokenSource {
 public:
  enum class Outcome { kToken, kFailed };
  // After each fetch, from the loop. The source is not to be destroyed in it.
  using OnFetched = std::function<void(Outcome)>;

  // Outlives the source.
  struct Surroundings {
    Loop& loop;
    Log& log;
    Metrics& metrics;
    Fetcher& fetcher;
    Random random = {};  // Empty: seeded by the system.
    // Monotonic, also while the machine is suspended; empty: the system's. In milliseconds.
    std::function<uint64_t()> clock = {};
  };

  TokenSource(const Surroundings& around, std::string gateway, OauthOptions options,
              const BackoffOptions& backoff, OnFetched on_fetched);
  ~TokenSource();
  TokenSource(const TokenSource&) = delete;
  TokenSource& operator=(const TokenSource&) = delete;
  TokenSource(TokenSource&&) = delete;
  TokenSource& operator=(TokenSource&&) = delete;

  // The first fetch; the others follow by themselves.
  void start();

  // One that has not ended. Else why there is none: kRefused or kUnavailable, retryable.
  [[nodiscard]] Result<Secret> token() const;

  // A gateway did not accept the token: another is fetched, unless this one is fresh.
  void note_refused();

  // For now and then: a machine that was suspended has missed what was due.
  void look();

 private:
  [[nodiscard]] bool has_token() const;
  void fetch();
  void on_answer(Result<FetchResponse> response);
  void accept(AccessToken granted);
  void fail(const Error& error);
  void wait(Milliseconds time);
  Counter& fetches(std::string_view outcome);

  Surroundings around_;
  std::string gateway_;
  OauthOptions options_;
  BackoffOptions backoff_options_;
  Random random_;
  Backoff backoff_;
  OnFetched on_fetched_;
  Gauge& expiry_;
  Secret token_;
  uint64_t fetched_ms_ = 0;  // By around_.clock, as the others.
  uint64_t ends_ms_ = 0;
  uint64_t due_ms_ = 0;
  std::optional<Error> failure_;  // Of the last fetch.
  std::unique_ptr<Fetcher::Call> call_;
  Timer timer_;
};

}  // namespace ptth
