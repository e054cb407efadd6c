#include "agent/health.h"

#include <utility>

namespace ptth {

namespace {

Check::State as_state(bool holds) {
  return holds ? Check::State::kPassing : Check::State::kFailing;
}

std::string links_detail(const Health::Facts& facts) {
  return std::to_string(facts.links_attached) + " of " + std::to_string(facts.links) + " attached";
}

std::string origin_detail(const Health::Facts& facts) {
  return facts.origin + (facts.origin_reachable ? " accepts connections" : " does not accept");
}

}  // namespace

Health::Health(Loop& loop, Look look)
    : look_(std::move(look)), link_attached_(loop), origin_reachable_(loop), timer_(loop, [this] {
        observe();
        timer_.start(kInterval);
      }) {
  timer_.start(kInterval);
}

std::vector<Check> Health::readiness() {
  const Facts facts = observe();
  const bool leaving = facts.phase == Facts::Phase::kLeaving;
  return {{"links", link_attached_.state(), links_detail(facts)},
          {"origin", origin_reachable_.state(), origin_detail(facts)},
          {"serving", as_state(!leaving), leaving ? "draining" : ""}};
}

std::vector<Check> Health::startup() {
  const Facts facts = observe();
  return {{"links", link_seen_, links_detail(facts)},
          {"origin", origin_seen_, origin_detail(facts)}};
}

Health::Facts Health::observe() {
  Facts facts = look_();
  const Check::State link = as_state(facts.links_attached > 0);
  const Check::State origin = as_state(facts.origin_reachable);
  link_attached_.observe(link);
  origin_reachable_.observe(origin);
  if (link == Check::State::kPassing) link_seen_ = link;
  if (origin == Check::State::kPassing) origin_seen_ = origin;
  return facts;
}

}  // namespace ptth
