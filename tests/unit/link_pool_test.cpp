#include "agent/link/link_pool.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::Link;
using ptth::LinkPool;
using ptth::LinkPoolOptions;
using ptth::LinkState;
using ptth::Milliseconds;

using enum ptth::LinkState;

namespace {

// A link whose life the test tells.
class ToldLink final : public Link {
 public:
  ToldLink(uint32_t index, Listener& listener, std::map<uint64_t, ToldLink*>& alive)
      : index_(index), listener_(listener), alive_(alive) {
    alive_[index] = this;
  }

  ~ToldLink() override { alive_.erase(index_); }

  ToldLink(const ToldLink&) = delete;
  ToldLink& operator=(const ToldLink&) = delete;
  ToldLink(ToldLink&&) = delete;
  ToldLink& operator=(ToldLink&&) = delete;

  void start() override { is_started = true; }

  void drain() override { is_drained = true; }

  void renew(std::string_view /*reason*/) override {}

  void credentials_arrived() override {}

  void abort() override { is_aborted = true; }

  void set_share(uint32_t /*share*/) override {}

  [[nodiscard]] uint32_t share() const override { return 1; }

  [[nodiscard]] uint32_t take_demand() override { return 0; }

  [[nodiscard]] LinkState state() const override { return state_; }

  [[nodiscard]] const std::string& gateway() const override { return name_; }

  [[nodiscard]] uint64_t id() const override { return index_; }

  [[nodiscard]] size_t exchanges_in_flight() const override { return exchanges_; }

  [[nodiscard]] bool carries_one_exchange() const override { return is_http1_; }

  [[nodiscard]] bool credentials_refused() const override { return false; }

  [[nodiscard]] const std::string& last_error() const override { return name_; }

  void go(LinkState state) {
    state_ = state;
    listener_.on_link_state(*this, state);
  }

  void attach_http1() {
    is_http1_ = true;
    go(kAttached);
  }

  void carry(size_t exchanges) {
    exchanges_ = exchanges;
    listener_.on_link_load_changed(*this);
  }

  bool is_started = false;
  bool is_drained = false;
  bool is_aborted = false;

 private:
  uint32_t index_;
  Listener& listener_;
  std::map<uint64_t, ToldLink*>& alive_;
  std::string name_ = "gw";
  LinkState state_ = kIdle;
  size_t exchanges_ = 0;
  bool is_http1_ = false;
};

struct PoolStage : private Link::Listener {
  PoolStage(uint32_t connections, const LinkPoolOptions& options) {
    pool = std::make_unique<LinkPool>(
        loop, metrics,
        LinkPool::Parameters{"gw", connections, options,
                             [this](uint32_t index, Link::Listener& listener) {
                               return std::make_unique<ToldLink>(index, listener, links);
                             }},
        static_cast<Link::Listener&>(*this));
    pool->start();
    loop.turn();
  }

  virtual ~PoolStage() {
    pool.reset();
    loop.turn();
  }

  PoolStage(const PoolStage&) = delete;
  PoolStage& operator=(const PoolStage&) = delete;
  PoolStage(PoolStage&&) = delete;
  PoolStage& operator=(PoolStage&&) = delete;

  void on_link_state(const Link& /*link*/, LinkState /*state*/) override { ++states_heard; }

  // All that are on their way arrive, until none is.
  void attach_all() {
    for (bool was_some = true; was_some;) {
      was_some = false;
      for (const auto& [index, link] : std::map(links)) {
        if (link->state() != kIdle) continue;
        was_some = true;
        link->attach_http1();
      }
      loop.turn();
    }
  }

  void carry(size_t busy) {
    size_t index = 0;
    for (const auto& [id, link] : links)
      link->carry(index++ < busy ? 1 : 0);
    loop.turn();
  }

  [[nodiscard]] uint64_t count(const std::string& name) {
    return metrics.counter(name, "", {{"gateway", "gw"}}).value();
  }

  [[nodiscard]] double connections(const std::string& state) {
    return metrics.gauge("ptth_http1_connections", "", {{"gateway", "gw"}, {"state", state}})
        .value();
  }

  ptth::Loop loop{ptth::ClockMode::kManual};
  ptth::Metrics metrics;
  std::map<uint64_t, ToldLink*> links;
  std::unique_ptr<LinkPool> pool;
  int states_heard = 0;
};

LinkPoolOptions options(uint32_t spare, uint32_t max, uint32_t dials = 4) {
  LinkPoolOptions pool;
  pool.spare = spare;
  pool.max = max;
  pool.dials = dials;
  return pool;
}

}  // namespace

TEST_CASE("with HTTP/2 a pool has as many links as connections, whatever they carry") {
  PoolStage stage(2, options(3, 10));
  REQUIRE(stage.links.size() == 2);
  for (const auto& [id, link] : stage.links) {
    CHECK(link->is_started);
    link->go(kAttached);
    link->carry(100);
  }
  stage.loop.advance(Milliseconds(3'600'000));
  CHECK(stage.links.size() == 2);
  CHECK(stage.states_heard == 2);
}

TEST_CASE("with HTTP/1.1 links are added until enough are to spare, up to the maximum") {
  PoolStage stage(1, options(2, 5));
  CHECK(stage.links.size() == 1);
  stage.attach_all();
  CHECK(stage.links.size() == 2);
  CHECK(stage.connections("spare") == 2);
  stage.carry(1);
  stage.attach_all();
  CHECK(stage.links.size() == 3);
  CHECK(stage.connections("busy") == 1);
  stage.carry(3);
  stage.attach_all();
  CHECK(stage.links.size() == 5);
  CHECK(stage.count("ptth_http1_links_exhausted") == 0);
  stage.carry(5);
  stage.attach_all();
  CHECK(stage.links.size() == 5);
  CHECK(stage.count("ptth_http1_links_exhausted") == 1);
  CHECK(stage.count("ptth_http1_links_added") == 4);
  CHECK(stage.links.rbegin()->first == 4);
}

TEST_CASE("no more are dialled at once than allowed, and a gateway that fails gets no more links") {
  PoolStage stage(1, options(50, 100, 3));
  stage.links.at(0)->attach_http1();
  stage.loop.turn();
  CHECK(stage.links.size() == 4);
  stage.links.at(1)->attach_http1();
  stage.loop.turn();
  CHECK(stage.links.size() == 5);
  for (const uint64_t id : {2U, 3U, 4U})
    stage.links.at(id)->go(kConnecting);
  stage.loop.turn();
  CHECK(stage.links.size() == 5);

  PoolStage failing(1, options(2, 100));
  failing.links.at(0)->attach_http1();
  failing.loop.turn();
  REQUIRE(failing.links.size() == 2);
  for (const auto& [id, link] : std::map(failing.links))
    link->go(kBackingOff);
  failing.loop.advance(Milliseconds(60'000));
  CHECK(failing.links.size() == 2);
}

TEST_CASE("what was not needed for some time is closed, but not what was needed in between") {
  PoolStage stage(1, options(1, 10));
  stage.attach_all();
  stage.carry(5);
  stage.attach_all();
  stage.carry(5);
  stage.attach_all();
  for (int round = 0; round < 6; ++round) {
    stage.carry(5);
    stage.attach_all();
  }
  REQUIRE(stage.links.size() == 6);
  stage.carry(0);
  stage.loop.advance(Milliseconds(20'000));
  stage.carry(3);  // Two too many, for once.
  stage.carry(0);
  stage.loop.advance(Milliseconds(20'000));
  int drained = 0;
  for (const auto& [id, link] : std::map(stage.links)) {
    if (!link->is_drained) continue;
    ++drained;
    CHECK(id >= 4);
    link->go(kDraining);
    link->go(kClosed);
  }
  CHECK(drained == 2);
  stage.loop.turn();
  CHECK(stage.links.size() == 4);
  CHECK(stage.count("ptth_http1_links_removed") == 2);
  stage.loop.advance(Milliseconds(30'000));
  drained = 0;
  for (const auto& [id, link] : stage.links)
    drained += link->is_drained ? 1 : 0;
  CHECK(drained == 3);
  CHECK_FALSE(stage.links.at(0)->is_drained);
}

TEST_CASE("a pool that leaves dials no more, and lets go of none") {
  PoolStage stage(2, options(2, 10));
  stage.attach_all();
  stage.pool->drain();
  for (const auto& [id, link] : stage.links) {
    CHECK(link->is_drained);
    link->carry(1);
    link->go(kDraining);
    link->go(kClosed);
  }
  stage.loop.advance(Milliseconds(60'000));
  CHECK(stage.links.size() == 2);
  stage.pool->abort();
  CHECK(stage.links.at(0)->is_aborted);
}

TEST_CASE("a pool that leaves lets a hello come to its end before its link goes") {
  PoolStage stage(3, options(2, 10));
  stage.attach_all();
  stage.links.at(1)->go(kReversing);
  stage.links.at(2)->go(kReversing);
  stage.loop.turn();
  stage.pool->drain();
  CHECK(stage.links.at(0)->is_drained);
  CHECK_FALSE(stage.links.at(1)->is_drained);
  stage.links.at(1)->attach_http1();
  stage.links.at(2)->go(kBackingOff);
  stage.loop.turn();
  CHECK(stage.links.at(1)->is_drained);
  CHECK(stage.links.at(2)->is_drained);
}
