#pragma once

// Asks one worker who it is, before it gets requests: sends the challenge, reads the answer, judges
// it by challenge_rules. Between the dispatcher and a WorkerSession.

#include "agent/origin/origin.h"
#include "common/loop.h"
#include "tests/gateway/challenge_rules.h"
#include "tests/gateway/worker_session.h"

#include <cstddef>
#include <memory>

namespace ptth::dev {

class ChallengeCheck final : private ResponseListener {
 public:
  class Listener {
   public:
    // Terminal, once. Retire the check.
    virtual void on_challenge_judged(WorkerSession& worker, const ChallengeVerdict& verdict) = 0;

   protected:
    ~Listener() = default;
  };

  // The worker is attached, has room, and outlives the check, as do the rules.
  ChallengeCheck(Loop& loop, const ChallengeRules& rules, WorkerSession& worker,
                 Listener& listener);
  ~ChallengeCheck();
  ChallengeCheck(const ChallengeCheck&) = delete;
  ChallengeCheck& operator=(const ChallengeCheck&) = delete;
  ChallengeCheck(ChallengeCheck&&) = delete;
  ChallengeCheck& operator=(ChallengeCheck&&) = delete;

 private:
  static constexpr size_t kBodyBytesMax = size_t{128} * 1024;
  static constexpr Milliseconds kTimeout{10'000};

  void on_interim_response(const ResponseHead& /*head*/) override {}

  void on_response_head(const ResponseHead& head) override;
  void on_response_body(Bytes bytes) override;
  void on_response_end(const FieldList& trailers) override;
  void on_response_failed(const Error& error) override;

  void on_request_body_taken(size_t /*count*/) override {}

  void give_up(std::string why);
  void finish(const ChallengeVerdict& verdict);

  const ChallengeRules& rules_;
  WorkerSession& worker_;
  Listener& listener_;
  RequestHead head_;
  ChallengeAsked asked_;
  ChallengeAnswer answer_;
  bool finished_ = false;
  Timer timer_;
  std::unique_ptr<OriginCall> call_;
};

}  // namespace ptth::dev
