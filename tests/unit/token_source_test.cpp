#include "agent/link/token_source.h"

#include "agent/link/auth.h"
#include "tests/support/fake_fetcher.h"
#include "tests/support/temp_dir.h"

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using ptth::AuthOptions;
using ptth::BackoffOptions;
using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Log;
using ptth::LogLevel;
using ptth::Loop;
using ptth::make_hello_credentials;
using ptth::Metrics;
using ptth::OauthOptions;
using ptth::Result;
using ptth::Secret;
using ptth::Side;
using ptth::TokenSource;
using ptth::test::FakeFetcher;
using ptth::test::TempDir;

namespace {

std::string grant(const std::string& token, int seconds) {
  return R"({"token_type":"Bearer","access_token":")" + token + R"(","expires_in":)" +
         std::to_string(seconds) + "}";
}

struct Stage {
  Stage() {
    std::ofstream(directory.file("secret")) << "secret";
    options.token_url = "https://idp.example/token";
    options.client_id = "worker";
    options.client_secret_file = directory.file("secret");
  }

  ~Stage() {
    source.reset();
    loop.turn();
  }

  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  Stage(Stage&&) = delete;
  Stage& operator=(Stage&&) = delete;

  void start() {
    source = std::make_unique<TokenSource>(
        TokenSource::Surroundings{loop, log, metrics, fetcher,
                                  [this](uint64_t bound) { return luck == 0 ? 0 : bound; },
                                  [this] { return loop.now_ms() + suspended_ms; }},
        "gw", options, BackoffOptions{},
        [this](TokenSource::Outcome outcome) { outcomes.push_back(outcome); });
    source->start();
    loop.advance(1ms);
    REQUIRE(fetcher.fetching());
  }

  [[nodiscard]] std::string token() const {
    const Result<Secret> now = source->token();
    return now ? std::string(now.value().reveal()) : std::string(to_string(now.error().kind));
  }

  [[nodiscard]] uint64_t fetches(const std::string& outcome) {
    return metrics
        .counter("ptth_oauth_token_fetches", "", {{"gateway", "gw"}, {"outcome", outcome}})
        .value();
  }

  [[nodiscard]] double expiry() {
    return metrics.gauge("ptth_oauth_token_expiry_timestamp_seconds", "", {{"gateway", "gw"}})
        .value();
  }

  // The fetch that follows comes after this and not before.
  void expect_fetch_after(std::chrono::milliseconds wait) {
    loop.advance(wait - 1ms);
    CHECK_FALSE(fetcher.fetching());
    loop.advance(1ms);
    CHECK(fetcher.fetching());
  }

  TempDir directory;
  OauthOptions options;
  Loop loop{ClockMode::kManual};
  Log log{{.level = LogLevel::kOff}};
  Metrics metrics;
  FakeFetcher fetcher{loop};
  int luck = 0;
  uint64_t suspended_ms = 0;
  std::vector<TokenSource::Outcome> outcomes;
  std::unique_ptr<TokenSource> source;
};

const Error kDown{ErrorKind::kUnreachable, Side::kGateway, "connection refused"};

}  // namespace

TEST_CASE("a token is renewed between two thirds and four fifths of its life") {
  Stage stage;
  SUBCASE("at the earliest") {}
  SUBCASE("at the latest") {
    stage.luck = 1;
  }
  stage.start();
  CHECK(stage.token() == "unavailable");
  stage.fetcher.answer(200, grant("first", 3000));
  CHECK(stage.token() == "first");
  CHECK(stage.expiry() > 1e9);
  stage.expect_fetch_after(stage.luck == 0 ? 2000s : 2400s);
  CHECK(stage.token() == "first");
  stage.fetcher.answer(200, grant("second", 3000));
  CHECK(stage.token() == "second");
  CHECK(stage.fetches("ok") == 2);
  CHECK(stage.outcomes == std::vector{TokenSource::Outcome::kToken, TokenSource::Outcome::kToken});
}

TEST_CASE("a token endpoint that is down does no harm until the token ends, and is asked again") {
  Stage stage;
  stage.start();
  stage.fetcher.answer(200, grant("first", 300));
  stage.expect_fetch_after(200s);
  stage.luck = 1;
  stage.fetcher.answer(kDown);
  CHECK(stage.token() == "first");
  stage.expect_fetch_after(500ms);
  stage.fetcher.answer(503, "", "60");
  CHECK(stage.token() == "first");
  stage.expect_fetch_after(61s);
  stage.fetcher.answer(kDown);
  // 38 s are left, five of them are a margin.
  stage.loop.advance(2s);
  stage.fetcher.answer(kDown);
  stage.loop.advance(32s);
  CHECK(stage.token() == "unavailable");
  CHECK(stage.source->token().error().retryable);
  CHECK(stage.source->token().error().detail.find("connection refused") != std::string::npos);
  stage.fetcher.answer(200, grant("second", 300));
  CHECK(stage.token() == "second");
}

TEST_CASE("an ended token is not sent, even when nobody could renew it meanwhile") {
  Stage stage;
  stage.start();
  stage.fetcher.answer(200, grant("first", 300));
  stage.loop.advance(10s);
  stage.source->look();
  CHECK_FALSE(stage.fetcher.fetching());
  // The machine sleeps; timers do not run.
  stage.suspended_ms = 3'600'000;
  CHECK(stage.token() == "unavailable");
  stage.source->look();
  REQUIRE(stage.fetcher.fetching());
  stage.source->look();
  stage.fetcher.answer(200, grant("second", 300));
  CHECK(stage.token() == "second");
}

TEST_CASE("an endpoint that refuses us is told apart, and asked rarely") {
  Stage stage;
  stage.start();
  stage.fetcher.answer(401, R"({"error":"invalid_client"})");
  CHECK(stage.token() == "refused");
  CHECK(stage.source->token().error().detail.find("invalid_client") != std::string::npos);
  CHECK(stage.fetches("refused") == 1);
  CHECK(stage.outcomes == std::vector{TokenSource::Outcome::kFailed});
  stage.expect_fetch_after(5s);
}

TEST_CASE("a secret that cannot be read is an error until it is there") {
  Stage stage;
  stage.options.client_secret_file = stage.directory.file("later");
  stage.source = std::make_unique<TokenSource>(
      TokenSource::Surroundings{stage.loop, stage.log, stage.metrics, stage.fetcher,
                                [](uint64_t bound) { return bound; }},
      "gw", stage.options, BackoffOptions{}, [](TokenSource::Outcome) {});
  stage.source->start();
  stage.loop.advance(1ms);
  CHECK_FALSE(stage.fetcher.fetching());
  CHECK(stage.source->token().error().detail.find("later") != std::string::npos);
  std::ofstream(stage.directory.file("later")) << "secret";
  stage.loop.advance(500ms);
  CHECK(stage.fetcher.fetching());
}

TEST_CASE("a token that a gateway refuses is replaced, but not over and over") {
  Stage stage;
  stage.start();
  stage.source->note_refused();
  stage.fetcher.answer(200, grant("first", 3000));
  stage.loop.advance(9s);
  stage.source->note_refused();
  CHECK_FALSE(stage.fetcher.fetching());
  stage.loop.advance(2s);
  stage.source->note_refused();
  REQUIRE(stage.fetcher.fetching());
  CHECK(stage.token() == "first");
  stage.source->note_refused();
  stage.fetcher.answer(kDown);
  // Backing off is not cut short.
  stage.source->note_refused();
  CHECK_FALSE(stage.fetcher.fetching());
}

TEST_CASE("tokens with a short life do not make us a burden") {
  Stage stage;
  stage.start();
  stage.fetcher.answer(200, grant("first", 1));
  CHECK(stage.token() == "first");
  stage.expect_fetch_after(10s);
  CHECK(stage.token() == "unavailable");
}

TEST_CASE("a source that goes away while it fetches is silent") {
  Stage stage;
  stage.start();
  stage.source.reset();
  stage.loop.advance(1h);
  CHECK_FALSE(stage.fetcher.fetching());
  CHECK(stage.outcomes.empty());
}

TEST_CASE("the hello carries the token that there is") {
  Stage stage;
  stage.start();
  AuthOptions auth;
  auth.oauth = stage.options;
  const auto credentials = make_hello_credentials(auth, stage.source.get());
  REQUIRE(credentials.ok());
  CHECK(credentials.value()().error().kind == ErrorKind::kUnavailable);
  stage.fetcher.answer(200, grant("first", 3000));
  const auto fields = credentials.value()();
  REQUIRE(fields.ok());
  REQUIRE(fields.value().size() == 1);
  CHECK(fields.value()[0].name == "authorization");
  CHECK(fields.value()[0].value.reveal() == "Bearer first");
  auth.token_file = "token";
  CHECK_FALSE(make_hello_credentials(auth, stage.source.get()).ok());
}
