#include "agent/link/challenge_origin.h"

#include "agent/link/challenge_answer.h"
#include "agent/link/own_request.h"
#include "agent/link/path_scope.h"
#include "agent/origin/fixed_call.h"
#include "common/authority.h"
#include "common/http_rules.h"
#include "common/token_bucket.h"

#include <ctime>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

constexpr uint16_t kHttpsPort = 443;

// Why there is no answer: for the gateway, and as the metric calls it.
struct NoAnswer {
  int status;
  const char* text;
  const char* outcome = "refused";
};

class ChallengeOrigin final : public Origin {
 public:
  ChallengeOrigin(const ChallengeSurroundings& around, const ChallengeOptions& options,
                  ChallengeParameters parameters)
      : loop_(around.loop),
        inner_(around.inner),
        log_(around.log),
        metrics_(around.metrics),
        options_(options),
        parameters_(std::move(parameters)),
        name_(parameters_.host, parameters_.port),
        scope_(options.prefixes),
        rate_(options.rate) {}

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override {
    if (asks_us(head)) return answer(head, listener);
    others_came_ = true;
    if (scope_.holds(head.path)) return inner_.start(head, listener, std::move(slot));
    return make_failed_call(
        loop_, listener,
        {ErrorKind::kMisdirected, Side::kLocal, "the path is not one that this gateway is served"});
  }

 private:
  [[nodiscard]] bool asks_us(const RequestHead& head) const {
    return without_query(head.path) == options_.path && name_.is_authority(head.authority);
  }

  [[nodiscard]] std::optional<NoAnswer> objection(const RequestHead& head) const {
    if (head.method != "GET") return NoAnswer{405, "A challenge is a GET request.\n"};
    const bool plain = head.path == options_.path && head.scheme == "https" &&
                       (head.body == BodyKind::kNone || head.content_length == 0) &&
                       head.body != BodyKind::kUnknown;
    if (!plain) return NoAnswer{400, "A challenge has no query and no body, and is https.\n"};
    if (was_forwarded(head.fields)) {
      return NoAnswer{403, "A challenge is the gateway's own request.\n"};
    }
    if (!options_.token_file.empty() && others_came_) {
      return NoAnswer{403, "A token is given before the first other request.\n"};
    }
    return std::nullopt;
  }

  std::unique_ptr<OriginCall> answer(const RequestHead& head, ResponseListener& listener) {
    if (const auto no = objection(head)) return refuse(head, listener, *no, no->text);
    ChallengeQuestion question;
    const Authority authority = parse_authority(head.authority).value();
    question.authority = authority.port == kHttpsPort ? authority.host : to_string(authority);
    question.path = head.path;
    Result<std::string> nonce = challenge_nonce(head.fields);
    const bool needs_nonce = !options_.key_file.empty();
    if (!nonce || (needs_nonce && nonce.value().empty())) {
      return refuse(head, listener, {400, "Ptth-Challenge has to hold a nonce.\n"},
                    nonce ? "Ptth-Challenge is missing" : nonce.error().detail);
    }
    question.nonce = std::move(nonce).value();
    // Files and signatures cost more than other answers.
    rate_.take(loop_.now_ms());
    if (rate_.exhausted()) {
      return refuse(head, listener, {429, "Too many challenges.\n", "limited"},
                    "over --limit-challenges");
    }
    const int64_t now = parameters_.now ? parameters_.now() : std::time(nullptr);
    Result<ChallengeAnswer> made =
        answer_challenge(options_, {parameters_.worker, parameters_.exporter, now}, question);
    if (!made) {
      return refuse(head, listener, {503, "This worker cannot answer now.\n", "failed"},
                    made.error().detail);
    }
    count("answered");
    return make_fixed_call(loop_, listener, std::move(made.value().head),
                           std::move(made.value().body));
  }

  std::unique_ptr<OriginCall> refuse(const RequestHead& asked, ResponseListener& listener,
                                     const NoAnswer& no, std::string_view detail) {
    count(no.outcome);
    log_.warn_limited("challenge not answered", parameters_.gateway,
                      {{"link", parameters_.link_id}, {"status", no.status}, {"detail", detail}});
    return make_refusal_call(loop_, listener, asked,
                             {no.status, no.text, no.status == 405 ? "GET" : ""});
  }

  void count(const char* outcome) {
    metrics_
        .counter("ptth_challenges", "Questions of gateways who we are.",
                 {{"gateway", parameters_.gateway}, {"outcome", outcome}})
        .add();
  }

  Loop& loop_;
  Origin& inner_;
  Log& log_;
  Metrics& metrics_;
  const ChallengeOptions options_;
  const ChallengeParameters parameters_;
  const GatewayName name_;
  const PathScope scope_;
  TokenBucket rate_;
  bool others_came_ = false;
};

}  // namespace

std::unique_ptr<Origin> make_challenge_origin(const ChallengeSurroundings& around,
                                              const ChallengeOptions& options,
                                              ChallengeParameters parameters) {
  return std::make_unique<ChallengeOrigin>(around, options, std::move(parameters));
}

}  // namespace ptth
