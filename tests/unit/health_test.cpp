#include "agent/health.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::Check;
using ptth::ClockMode;
using ptth::Health;
using ptth::Loop;
using ptth::Milliseconds;

namespace {

// The names of the checks that fail.
std::string failing(const std::vector<Check>& checks) {
  std::string names;
  for (const Check& check : checks) {
    if (check.state == Check::State::kFailing) names += check.name + " ";
  }
  return names;
}

struct Fixture {
  Loop loop{ClockMode::kManual};
  Health::Facts facts{.links = 2, .origin = "127.0.0.1:3000"};
  Health health{loop, [this] { return facts; }};
};

}  // namespace

TEST_CASE("the agent is ready as soon as one link and the origin are there") {
  Fixture agent;
  CHECK(failing(agent.health.readiness()) == "links origin ");
  agent.facts.links_attached = 1;
  CHECK(failing(agent.health.readiness()) == "origin ");
  agent.facts.origin_reachable = true;
  CHECK(failing(agent.health.readiness()).empty());
  CHECK(agent.health.readiness()[0].detail == "1 of 2 attached");
}

TEST_CASE("readiness outlasts a short loss, and the time counts although nobody asks") {
  Fixture agent;
  agent.facts.links_attached = 2;
  agent.facts.origin_reachable = true;
  agent.loop.advance(Milliseconds(10'000));
  agent.facts.links_attached = 0;
  agent.loop.advance(Milliseconds(4'000));
  CHECK(failing(agent.health.readiness()).empty());
  CHECK(agent.health.readiness()[0].detail == "0 of 2 attached");
  agent.facts.links_attached = 1;
  agent.loop.advance(Milliseconds(1'000));
  agent.facts.links_attached = 0;
  agent.loop.advance(Milliseconds(6'000));
  CHECK(failing(agent.health.readiness()) == "links ");
}

TEST_CASE("leaving ends readiness at once") {
  Fixture agent;
  agent.facts.links_attached = 2;
  agent.facts.origin_reachable = true;
  CHECK(failing(agent.health.readiness()).empty());
  agent.facts.phase = Health::Facts::Phase::kLeaving;
  CHECK(failing(agent.health.readiness()) == "serving ");
}

TEST_CASE("start-up is over when link and origin were there once, not at the same time") {
  Fixture agent;
  CHECK(failing(agent.health.startup()) == "links origin ");
  agent.facts.links_attached = 1;
  agent.loop.advance(Milliseconds(500));
  agent.facts.links_attached = 0;
  CHECK(failing(agent.health.startup()) == "origin ");
  agent.facts.origin_reachable = true;
  agent.loop.advance(Milliseconds(500));
  agent.facts.origin_reachable = false;
  agent.loop.advance(Milliseconds(60'000));
  CHECK(failing(agent.health.startup()).empty());
}
