#include "agent/gateway_finder.h"

#include "agent/service_order.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::ClockMode;
using ptth::DiscoveryOptions;
using ptth::DiscoverySource;
using ptth::Error;
using ptth::ErrorKind;
using ptth::FoundGateway;
using ptth::GatewayFinder;
using ptth::Log;
using ptth::LogLevel;
using ptth::Loop;
using ptth::Metrics;
using ptth::Milliseconds;
using ptth::Service;
using ptth::Side;

namespace {

FoundGateway at(const std::string& host, uint32_t priority = 0) {
  FoundGateway gateway;
  gateway.name = gateway.host = host;
  gateway.priority = priority;
  return gateway;
}

// Answers when the test says so.
struct ToldSource final : DiscoverySource {
  explicit ToldSource(ToldSource*& self) : self_(self) { self = this; }

  ~ToldSource() override { self_ = nullptr; }

  ToldSource(const ToldSource&) = delete;
  ToldSource& operator=(const ToldSource&) = delete;
  ToldSource(ToldSource&&) = delete;
  ToldSource& operator=(ToldSource&&) = delete;

  void look(Done done) override {
    ++looks;
    done_ = std::move(done);
  }

  void cancel() override { done_ = {}; }

  std::vector<FoundGateway> remembered() override { return {at("remembered")}; }

  void find(std::vector<FoundGateway> gateways, std::optional<Milliseconds> good_for = {}) {
    std::exchange(done_, {})(Looked{false, std::move(gateways), good_for});
  }

  void say_unchanged() { std::exchange(done_, {})(Looked{true, {}, {}}); }

  void fail(Milliseconds retry_after = {}) {
    std::exchange(done_,
                  {})(Error{ErrorKind::kUnavailable, Side::kGateway, "away", true, retry_after});
  }

  [[nodiscard]] bool is_asked() const { return static_cast<bool>(done_); }

  int looks = 0;

 private:
  ToldSource*& self_;
  Done done_;
};

struct FinderStage {
  void start(std::vector<FoundGateway> known = {}) {
    auto told = std::make_unique<ToldSource>(source);
    finder = std::make_unique<GatewayFinder>(
        GatewayFinder::Surroundings{loop, log, metrics, [](uint64_t) { return 0; }}, "edge",
        options, std::move(told), std::move(known), [this] { ++changes; });
  }

  [[nodiscard]] uint64_t looks(const char* outcome) {
    return metrics
        .counter("ptth_discovery_looks", "", {{"discovery", "edge"}, {"outcome", outcome}})
        .value();
  }

  [[nodiscard]] std::string hosts() const {
    std::string hosts;
    for (const FoundGateway& found : finder->found())
      hosts += found.host + " ";
    return hosts;
  }

  Loop loop{ClockMode::kManual};
  Log log{{.level = LogLevel::kOff}};
  Metrics metrics;
  DiscoveryOptions options;
  ToldSource* source = nullptr;
  std::unique_ptr<GatewayFinder> finder;
  int changes = 0;
};

}  // namespace

TEST_CASE_FIXTURE(FinderStage, "what was remembered holds until something is found") {
  start();
  CHECK(hosts() == "remembered ");
  source->find({at("a"), at("b")});
  CHECK(hosts() == "a b ");
  CHECK(changes == 1);
}

TEST_CASE_FIXTURE(FinderStage,
                  "it looks again when the time that the source gives is over, within bounds") {
  start();
  for (const auto& [good_for, waits] : std::vector<std::pair<Milliseconds, Milliseconds>>{
           {Milliseconds(60'000), Milliseconds(60'000)},
           {Milliseconds(0), options.refresh_min},
           {Milliseconds(INT64_MAX), options.refresh_max}}) {
    const int looks = source->looks;
    source->find({at("a")}, good_for);
    loop.advance(waits - Milliseconds(1));
    CHECK(source->looks == looks);
    loop.advance(Milliseconds(1));
    CHECK(source->looks == looks + 1);
  }
  source->find({at("a")});
  loop.advance(options.refresh);
  CHECK(source->is_asked());
  CHECK(changes == 1);
  CHECK(looks("unchanged") == 3);
}

TEST_CASE_FIXTURE(FinderStage,
                  "a look that fails leaves what was found, and the next ones come later") {
  start({at("known")});
  CHECK(hosts() == "known ");
  Milliseconds wait = options.refresh_min;
  for (int failure = 0; failure < 10; ++failure) {
    source->fail();
    loop.advance(wait - Milliseconds(1));
    CHECK_FALSE(source->is_asked());
    loop.advance(Milliseconds(1));
    REQUIRE(source->is_asked());
    wait = std::min(wait * 2, options.refresh_max);
  }
  CHECK(hosts() == "known ");
  CHECK(looks("failed") == 10);
  // What the source asks for counts, within bounds.
  source->find({at("known")}, Milliseconds(0));
  loop.advance(options.refresh_min);
  source->fail(Milliseconds(45'000));
  loop.advance(Milliseconds(44'999));
  CHECK_FALSE(source->is_asked());
  loop.advance(Milliseconds(1));
  CHECK(source->is_asked());
}

TEST_CASE_FIXTURE(FinderStage, "a look that hangs is given up") {
  start({at("known")});
  loop.advance(options.timeout);
  CHECK_FALSE(source->is_asked());
  CHECK(looks("failed") == 1);
  loop.advance(options.refresh_min);
  source->say_unchanged();
  CHECK(hosts() == "known ");
}

TEST_CASE_FIXTURE(FinderStage,
                  "a gateway that cannot be reached makes it look sooner, but not too often") {
  start();
  source->find({at("a")}, Milliseconds(3'600'000));
  loop.advance(Milliseconds(1'000));
  for (int trouble = 0; trouble < 100; ++trouble)
    finder->look_soon();
  loop.advance(options.refresh_min - Milliseconds(1'001));
  CHECK(source->looks == 1);
  loop.advance(Milliseconds(1));
  CHECK(source->looks == 2);
  source->find({at("a")}, Milliseconds(3'600'000));
  loop.advance(Milliseconds(600'000));
  finder->look_soon();
  loop.turn();
  loop.advance(Milliseconds(0));
  CHECK(source->looks == 3);
}

TEST_CASE_FIXTURE(FinderStage, "its metrics go with it") {
  start();
  CHECK(metrics.expose().find("discovery=\"edge\"") != std::string::npos);
  finder.reset();
  CHECK(source == nullptr);
  CHECK(metrics.expose().find("discovery=\"edge\"") == std::string::npos);
}

TEST_CASE("services are used by priority, then by chance as their weights say, each once") {
  const std::vector<Service> services{{at("last", 2), 9},
                                      {at("light", 1), 1},
                                      {at("heavy", 1), 9},
                                      {at("none", 1), 0},
                                      {at("heavy", 1), 9}};
  std::map<std::string, int> first;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const auto chosen = choose_services(services, 16, seed * 7919);
    REQUIRE(chosen.size() == 4);
    CHECK(chosen.back().host == "last");
    CHECK(chosen == choose_services(services, 16, seed * 7919));
    ++first[chosen.front().host];
  }
  CHECK(first["heavy"] > 1650);
  CHECK(first["light"] > 100);
  CHECK(first["none"] < 10);
  CHECK(choose_services(services, 2, 1).size() == 2);
}
