#include "agent/status_history.h"
#include "agent/status_report.h"
#include "agent/status_text.h"
#include "common/log.h"

#include <array>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using ptth::ClockMode;
using ptth::Histogram;
using ptth::Link;
using ptth::LinkState;
using ptth::Loop;
using ptth::Milliseconds;
using ptth::StatusHistory;
using ptth::StatusReport;

namespace {

class FakeLink final : public Link {
 public:
  FakeLink(std::string gateway, uint64_t id) : gateway_(std::move(gateway)), id_(id) {}

  void start() override {}

  void drain() override {}

  void renew(std::string_view /*reason*/) override {}

  void abort() override {}

  void credentials_arrived() override {}

  void set_share(uint32_t /*share*/) override {}

  [[nodiscard]] uint32_t share() const override { return 1; }

  [[nodiscard]] uint32_t take_demand() override { return 0; }

  [[nodiscard]] LinkState state() const override { return LinkState::kAttached; }

  [[nodiscard]] const std::string& gateway() const override { return gateway_; }

  [[nodiscard]] uint64_t id() const override { return id_; }

  [[nodiscard]] size_t exchanges_in_flight() const override { return 0; }

  [[nodiscard]] bool carries_one_exchange() const override { return false; }

  [[nodiscard]] bool credentials_refused() const override { return false; }

  [[nodiscard]] const std::string& last_error() const override { return error; }

  std::string error;

 private:
  std::string gateway_;
  uint64_t id_;
};

StatusReport example() {
  StatusReport report;
  report.worker = "ptth-agent-0";
  report.version = "ptth-agent 1";
  report.phase = "serving";
  report.uptime_seconds = 3725;
  report.checks = {{"links", ptth::Check::State::kPassing, "1 of 1 attached"},
                   {"origin", ptth::Check::State::kFailing, "down"}};
  report.now = {.in_flight = 3, .capacity = 100, .queued = 1, .exchanges = 12, .failures = 2};
  report.phases = {{"first byte", 12, 0.0004, 0.05, 2.5}};
  StatusReport::Gateway gateway;
  gateway.name = "edge";
  gateway.profile = "haproxy";
  gateway.links = {{0, "backing_off", 61, 3, "refused \x1b[2J\xff"}};
  gateway.verdicts = {{"ok", 10}, {"overload", 2}};
  report.gateways = {gateway};
  report.warnings = {R"({"time":"t","level":"warn","message":"link state","reason":"gone"})",
                     "no json"};
  return report;
}

}  // namespace

TEST_CASE("quantiles of a histogram lie inside the buckets of their observations") {
  const std::array<double, 3> bounds = {1, 2, 4};
  Histogram histogram(bounds);
  CHECK(ptth::describe_phase("x", {&histogram}).count == 0);
  for (int time = 0; time < 98; ++time)
    histogram.observe(1.5);
  histogram.observe(3);
  histogram.observe(100);
  const StatusReport::Phase phase = ptth::describe_phase("x", {&histogram});
  CHECK(phase.count == 100);
  CHECK(phase.p50 > 1);
  CHECK(phase.p50 < 2);
  CHECK(phase.p99 > 2);
  CHECK(phase.p99 <= 4);
  CHECK(phase.bounds == std::vector<double>{1, 2, 4});
  CHECK(phase.buckets == std::vector<uint64_t>{0, 98, 1, 1});
}

TEST_CASE("histograms of several gateways are one distribution") {
  const std::array<double, 2> bounds = {1, 2};
  Histogram one(bounds);
  Histogram other(bounds);
  one.observe(0.5);
  other.observe(1.5);
  other.observe(9);
  const StatusReport::Phase phase = ptth::describe_phase("x", {&one, &other});
  CHECK(phase.count == 3);
  CHECK(phase.buckets == std::vector<uint64_t>{1, 1, 1});
}

TEST_CASE("the status document says what the report says, whatever bytes are in it") {
  const auto document = nlohmann::json::parse(ptth::to_json(example()));
  CHECK(document["phase"] == "serving");
  CHECK(document["now"]["in_flight"] == 3);
  CHECK(document["checks"][1]["passing"] == false);
  CHECK(document["gateways"][0]["links"][0]["state"] == "backing_off");
  CHECK(document["gateways"][0]["verdicts"]["overload"] == 2);
  CHECK(document["warnings"][0]["reason"] == "gone");
  CHECK(document["warnings"][1]["message"] == "no json");
}

TEST_CASE("the status is readable on a terminal, and nothing in it can control one") {
  const auto text = ptth::status_text(ptth::to_json(example()));
  REQUIRE(text.ok());
  for (const std::string part :
       {"ptth-agent-0, ptth-agent 1, serving, up 1h02m\n", "3 of 100 in flight, 1 queued",
        "[-] origin: down", "edge     haproxy  0     backing_off  1m01s", "first byte  12",
        "0.4 ms", "2.50 s", "overload  2", "link state, reason: gone"}) {
    CAPTURE(part);
    CAPTURE(text.value());
    CHECK(text.value().find(part) != std::string::npos);
  }
  CHECK(text.value().find('\x1b') == std::string::npos);
}

TEST_CASE("the receipt of a drain is found once there is one") {
  StatusReport report = example();
  CHECK_FALSE(ptth::find_receipt(ptth::to_json(report)));
  CHECK_FALSE(ptth::find_receipt("nonsense"));
  report.receipt = {.served = 12, .refused_replayable = 3, .cut = 1};
  const auto receipt = ptth::find_receipt(ptth::to_json(report));
  REQUIRE(receipt);
  CHECK(receipt->cut == 1);
  CHECK(receipt->text == "served 12, refused_replayable 3, cut 1");
}

TEST_CASE("what is no status document is told apart from an empty one") {
  for (const std::string json : {"", "[]", "ok", "{", "7"}) {
    CAPTURE(json);
    CHECK_FALSE(ptth::status_text(json).ok());
  }
  for (const std::string json :
       {"{}", R"({"checks":7,"gateways":{"a":1},"now":[],"phases":[7],"warnings":[7,{}]})",
        R"({"gateways":[{"links":[[]],"verdicts":{"ok":"x"}}],"checks":[{}]})"}) {
    CAPTURE(json);
    CHECK(ptth::status_text(json).ok());
  }
}

TEST_CASE("the history keeps the last events of each gateway, and samples once a second") {
  Loop loop(ClockMode::kManual);
  uint64_t in_flight = 0;
  StatusHistory history(loop, [&] { return StatusReport::Sample{.in_flight = ++in_flight}; });
  FakeLink link("edge", 4);
  history.note(link, LinkState::kConnecting);
  loop.advance(Milliseconds(1'500));
  link.error = "gone";
  history.note(link, LinkState::kBackingOff);
  loop.advance(Milliseconds(500));
  CHECK(history.state_seconds(link) == doctest::Approx(0.5));
  REQUIRE(history.events("edge").size() == 1);
  CHECK(history.events("edge")[0].reason == "gone");
  CHECK(history.events("edge")[0].seconds_ago == doctest::Approx(0.5));
  CHECK(history.events("other").empty());
  CHECK(history.samples().size() == 2);
  for (size_t time = 0; time < 2 * StatusHistory::kSamplesMax; ++time) {
    history.note(link, LinkState::kAttached);
    loop.advance(Milliseconds(1'000));
  }
  CHECK(history.events("edge").size() == StatusHistory::kEventsPerGatewayMax);
  CHECK(history.samples().size() == StatusHistory::kSamplesMax);
  CHECK(history.samples().back().in_flight == in_flight);
  history.forget("edge");
  CHECK(history.events("edge").empty());
}

TEST_CASE("the last warnings are kept as JSON, and no more than a few") {
  ptth::Log::Options options;
  options.descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC);
  options.format = ptth::LogFormat::kHuman;
  {
    ptth::Log log(options);
    log.info("nothing to see");
    CHECK(log.recent_warnings().empty());
    for (size_t time = 0; time < 2 * ptth::Log::kRecentMax; ++time)
      log.warn("trouble", {{"detail", "line\nbreak \xff"}, {"number", uint64_t{time}}});
    CHECK(log.recent_warnings().size() == ptth::Log::kRecentMax);
    const auto last = nlohmann::json::parse(log.recent_warnings().back());
    CHECK(last["message"] == "trouble");
    CHECK(last["number"] == 2 * ptth::Log::kRecentMax - 1);
  }
  close(options.descriptor);
}
