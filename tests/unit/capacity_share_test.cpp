#include "agent/relay/capacity_share.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

namespace ptth {

namespace {

using Shares = std::vector<uint32_t>;

// Links whose demand stays as it is, after so many looks.
Shares after(int looks, Shares shares, const Shares& demands, uint32_t capacity,
             uint32_t overcommit_percent) {
  for (int look = 0; look < looks; ++look) {
    std::vector<ShareDemand> links;
    for (size_t index = 0; index < shares.size(); ++index)
      links.push_back({shares[index], demands[index]});
    shares = next_shares(links, capacity, overcommit_percent);
  }
  return shares;
}

uint32_t sum(const Shares& shares) {
  return std::accumulate(shares.begin(), shares.end(), 0U);
}

}  // namespace

TEST_CASE("a link alone has the whole capacity, and no more") {
  CHECK(first_share(1, 100, 200) == 100);
  CHECK(next_shares({}, 100, 200).empty());
  CHECK(after(1, {100}, {0}, 100, 200) == Shares{100});
  CHECK(after(1, {100}, {100}, 100, 200) == Shares{100});
}

TEST_CASE("at first all links have the same, at least one each") {
  CHECK(first_share(2, 100, 100) == 50);
  CHECK(first_share(2, 100, 200) == 100);
  CHECK(first_share(10, 3, 100) == 1);
}

TEST_CASE("shares move to where the demand is, step by step") {
  // No more is given to one than the other gives up.
  CHECK(after(1, {50, 50}, {50, 0}, 100, 100) == Shares{62, 38});
  CHECK(after(2, {50, 50}, {50, 0}, 100, 100) == Shares{71, 29});
  const Shares settled = after(20, {50, 50}, {50, 0}, 100, 100);
  CHECK(settled[0] >= 80);
  CHECK(settled[1] >= 2);
  CHECK(sum(settled) <= 100);
  CHECK(after(1, settled, {50, 0}, 100, 100) == settled);
}

TEST_CASE("the shares of all links together stay within the budget at each step") {
  Shares shares{25, 25, 25, 25};
  for (int look = 0; look < 40; ++look) {
    Shares demands(4, 0);
    demands[static_cast<size_t>(look / 10)] = 90;
    shares = after(1, shares, demands, 100, 100);
    CHECK(sum(shares) <= 100);
    CHECK(*std::min_element(shares.begin(), shares.end()) >= 1);
  }
  CHECK(shares[3] > 70);
}

TEST_CASE("each link keeps one, also if there are more links than the capacity allows") {
  const Shares shares = after(10, Shares(8, 1), {9, 0, 0, 0, 0, 0, 0, 0}, 3, 100);
  CHECK(shares == Shares(8, 1));
}

TEST_CASE("a capacity that falls takes the shares with it") {
  const Shares shares = after(20, {100, 100}, {100, 100}, 20, 200);
  CHECK(shares == Shares{20, 20});
  CHECK(sum(after(20, {100, 100}, {100, 100}, 20, 100)) <= 20);
}

TEST_CASE("a capacity that rises is given to all") {
  CHECK(after(5, {4, 4}, {0, 0}, 100, 100) == Shares{50, 50});
}

TEST_CASE("demand that is equal is served equally") {
  const Shares shares = after(20, {90, 10}, {100, 100}, 100, 100);
  CHECK(shares[0] >= 45);
  CHECK(shares[1] >= 45);
}

TEST_CASE("small changes of demand change nothing") {
  const Shares shares{52, 48};
  CHECK(after(1, shares, {30, 28}, 100, 100) == shares);
}

}  // namespace ptth
