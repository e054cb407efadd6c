// What a link does with several profiles, of which the gateway speaks one. Without TLS there is no
// ALPN, so each connection here offers one.

#include "tests/support/hello_transcript.h"
#include "tests/unit/link_stage.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using ptth::GatewayOptions;
using ptth::HelloOptions;
using ptth::Milliseconds;
using ptth::Profile;
using namespace ptth::test;

namespace {

const std::string kNo = "\r\nContent-Length: 0\r\n\r\n";
// Looks are sooner than a silent gateway is found out.
constexpr Milliseconds kInterval{10'000};

struct AutoStage : LinkStage {
  static std::unique_ptr<Profile> ptth() { return ptth::make_ptth_profile(hello_spec(), {}); }

  static std::unique_ptr<Profile> reverse() {
    HelloOptions options;
    options.uri = "https://gw.example/worker1";
    return ptth::make_reverse_profile(hello_spec(options, ptth::reverse_hello()), {});
  }

  static std::unique_ptr<Profile> connect_profile() {
    const auto spec = hello_spec({}, ptth::ptth_connect_hello());
    return ptth::make_connect_profile("ptth-connect", spec, {}, {});
  }

  template <class... Several>
  void begin(Several... several) {
    std::vector<std::unique_ptr<Profile>> chosen;
    (chosen.push_back(std::move(several)), ...);
    GatewayOptions options;
    options.automatic.interval = kInterval;
    make(options, std::move(chosen));
    link->start();
    loop.turn();
  }

  // The dial that is under way ends with this answer to its hello; then how long the link waits,
  // where the random number is always the bound.
  int64_t answered(const std::string& text) {
    connect();
    wires.back().say(text);
    loop.turn();
    return wait();
  }

  int64_t wait() {
    REQUIRE(link->state() == kBackingOff);
    int64_t waited = 0;
    for (; link->state() == kBackingOff && waited < 1'000'000; ++waited)
      loop.advance(Milliseconds(1));
    return waited;
  }

  void say_yes(Wire& wire, const std::string& token) {
    wire.say("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: " + token + "\r\n\r\n" + kMagic +
             kSettings + kSettingsAck);
    loop.turn();
  }

  [[nodiscard]] std::string asked() const {
    const std::string& written = wires.back().written;
    if (written.starts_with("PRI")) return "h2";
    return written.starts_with("GET /worker1 ") ? "reverse" : "ptth";
  }

  [[nodiscard]] double links_with(const std::string& profile) {
    return metrics.gauge("ptth_link_profile", "", {{"gateway", "gw"}, {"profile", profile}})
        .value();
  }

  [[nodiscard]] uint64_t looks(const std::string& outcome) {
    return count("ptth_link_profile_looks", {{"outcome", outcome}});
  }
};

const std::string kNotFound = "HTTP/1.1 404 x" + kNo;

}  // namespace

TEST_CASE_FIXTURE(AutoStage, "the profiles are tried one after the other until one works") {
  begin(ptth(), reverse());
  answered(kNotFound);
  connect();
  CHECK(asked() == "reverse");
  say_yes(wires.back(), "reverse");
  CHECK(link->state() == kAttached);
  CHECK(links_with("reverse") == 1);
  CHECK(links_with("ptth") == 0);
  CHECK(link->last_error().empty());
  link->drain();
  loop.turn();
  CHECK(links_with("reverse") == 0);
}

TEST_CASE_FIXTURE(AutoStage, "the next dial begins with what worked") {
  begin(ptth(), reverse());
  answered(kNotFound);
  connect();
  say_yes(wires.back(), "reverse");
  wires.back().end();
  loop.turn();
  wait();
  connect();
  CHECK(asked() == "reverse");
}

TEST_CASE_FIXTURE(AutoStage, "trying is never faster than dialling a gateway that is not there") {
  const std::string gone = "HTTP/1.1 503 x" + kNo;
  std::vector<int64_t> fixed;
  begin(ptth());
  for (int dial = 0; dial < 8; ++dial)
    fixed.push_back(answered(gone));
  for (const std::string& answer : {kNotFound, std::string("nonsense\r\n\r\n"), gone}) {
    CAPTURE(answer);
    begin(ptth(), reverse());
    for (size_t dial = 0; dial < fixed.size(); ++dial)
      CHECK(answered(answer) >= fixed[dial]);
  }
}

TEST_CASE_FIXTURE(AutoStage, "a round without success is what only a person can mend") {
  begin(ptth(), reverse());
  CHECK(answered(kNotFound) == 500);
  // Refused, or wrongly configured: never sooner than that.
  CHECK(answered(kNotFound) >= 5'000);
  CHECK(count("ptth_link_failures", {{"reason", "configuration"}}) == 2);
}

TEST_CASE_FIXTURE(AutoStage, "credentials that are refused are no reason to try another profile") {
  for (const char* status : {"401", "403"}) {
    begin(ptth(), reverse());
    for (int dial = 0; dial < 4; ++dial) {
      connect();
      CHECK(asked() == "ptth");
      wires.back().say("HTTP/1.1 " + std::string(status) + " x" + kNo);
      loop.turn();
      CHECK(link->credentials_refused());
      CHECK(wait() >= 5'000);
    }
  }
}

TEST_CASE_FIXTURE(AutoStage,
                  "a gateway that cannot be reached, or has no room, is asked the same") {
  begin(ptth(), reverse());
  network.fail_resolving("no such name");
  wait();
  answered("HTTP/1.1 503 x" + kNo);
  connect();
  CHECK(asked() == "ptth");
}

TEST_CASE_FIXTURE(AutoStage,
                  "HTTP/2 without extended CONNECT is taken for HAProxy only after that") {
  begin(ptth::make_haproxy_profile(), connect_profile());
  connect();
  CHECK(asked() == "h2");
  wires.back().say(kSettings + kSettingsAck);
  loop.turn();
  CHECK(link->state() == kBackingOff);
  wait();
  attach();
  CHECK(links_with("haproxy") == 1);
}

TEST_CASE_FIXTURE(AutoStage, "a better profile is looked for beside the link, and takes over") {
  begin(ptth(), reverse());
  answered(kNotFound);
  Wire& first = connect();
  say_yes(first, "reverse");
  first.say(kRequest);
  loop.turn();
  REQUIRE(origin.started == 1);
  states.clear();
  loop.advance(kInterval * 4 / 5);
  REQUIRE(network.queries() == 3);
  Wire& second = connect();
  CHECK(asked() == "ptth");
  CHECK(link->state() == kAttached);
  CHECK(links_with("reverse") == 1);
  say_yes(second, "ptth");
  CHECK(links_with("ptth") == 1);
  CHECK(links_with("reverse") == 0);
  CHECK(looks("better") == 1);
  // What was in flight ends where it came; the link was attached all the time.
  CHECK_FALSE(first.destroyed);
  first.written.clear();
  origin.answer_all();
  loop.turn();
  CHECK(first.written.size() > 9);
  CHECK(states.empty());
  // There is nothing better than that.
  for (int part = 0; part < 2; ++part) {
    second.say(kSettings);
    loop.advance(kInterval / 2);
  }
  CHECK(network.queries() == 3);
}

TEST_CASE_FIXTURE(AutoStage, "a look that finds nothing leaves the link as it is until the next") {
  begin(ptth(), reverse());
  answered(kNotFound);
  Wire& first = connect();
  say_yes(first, "reverse");
  states.clear();
  for (size_t look = 1; look <= 3; ++look) {
    first.say(kSettings);
    loop.advance(kInterval * 4 / 5);
    connect();
    wires.back().say(kNotFound);
    loop.turn();
    CHECK(looks("none") == look);
    CHECK(network.attempted().size() == 2 + look);
  }
  CHECK(states.empty());
  CHECK_FALSE(first.destroyed);
  CHECK(count("ptth_link_renewals", {{"outcome", "failed"}}) == 0);
}

TEST_CASE_FIXTURE(AutoStage, "a link that leaves looks for nothing any more") {
  begin(ptth(), reverse());
  answered(kNotFound);
  connect();
  say_yes(wires.back(), "reverse");
  link->drain();
  loop.advance(kInterval * 3);
  CHECK(network.queries() == 2);
}

TEST_CASE_FIXTURE(AutoStage, "broken connections do not make HAProxy of a gateway that said yes") {
  begin(ptth(), ptth::make_haproxy_profile());
  connect();
  say_yes(wires.back(), "ptth");
  wires.back().fail(kReset);
  loop.turn();
  for (int dial = 0; dial < 12; ++dial) {
    wait();
    connect();
    CHECK(asked() == "ptth");
    wires.back().fail(kReset);
    loop.turn();
  }
}
