#include "common/dialer.h"

#include "tests/support/fake_network.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::Address;
using ptth::ByteStream;
using ptth::ClockMode;
using ptth::dial_order;
using ptth::Dialer;
using ptth::DialOptions;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::Milliseconds;
using ptth::Side;
using ptth::test::addresses;
using ptth::test::FakeNetwork;

namespace {

class Outcome final : public Dialer::Listener {
 public:
  void on_resolved() override { events.push_back("resolved"); }

  void on_dialed(std::unique_ptr<ByteStream> given, const Address& address) override {
    events.push_back("dialed " + address.text());
    stream = std::move(given);
  }

  void on_dial_failed(const Error& failure) override {
    events.push_back("failed");
    error = failure;
  }

  std::vector<std::string> events;
  std::unique_ptr<ByteStream> stream;
  Error error;
};

std::vector<std::string> texts(const std::vector<Address>& list) {
  std::vector<std::string> words;
  for (const Address& address : list)
    words.push_back(address.text());
  return words;
}

struct Fixture {
  std::unique_ptr<Dialer> dial(uint32_t index = 0) {
    DialOptions options;
    options.host = "gw.example";
    options.index = index;
    return dial_with(options);
  }

  std::unique_ptr<Dialer> dial_with(const DialOptions& options) {
    return std::make_unique<Dialer>(loop, network, options, outcome);
  }

  [[nodiscard]] std::vector<std::string> attempted() const { return network.attempted(); }

  Loop loop{ClockMode::kManual};
  FakeNetwork network{loop};
  Outcome outcome;
};

const std::vector<std::string> kTwoOfEach = {"2001:db8::1", "2001:db8::2", "192.0.2.1",
                                             "192.0.2.2"};
using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("families take turns, beginning with the preferred one") {
  CHECK(texts(dial_order(addresses(kTwoOfEach), 0)) ==
        Words{"[2001:db8::1]:443", "192.0.2.1:443", "[2001:db8::2]:443", "192.0.2.2:443"});
  CHECK(texts(dial_order(addresses({"192.0.2.1", "192.0.2.2", "::1"}), 0)) ==
        Words{"192.0.2.1:443", "[::1]:443", "192.0.2.2:443"});
  CHECK(dial_order({}, 3).empty());
}

TEST_CASE("links of one gateway begin with different addresses") {
  CHECK(texts(dial_order(addresses(kTwoOfEach), 1)).front() == "192.0.2.1:443");
  CHECK(texts(dial_order(addresses(kTwoOfEach), 2)).front() == "[2001:db8::2]:443");
  CHECK(texts(dial_order(addresses(kTwoOfEach), 3)).front() == "192.0.2.2:443");
  CHECK(texts(dial_order(addresses(kTwoOfEach), 4)).front() == "[2001:db8::1]:443");
}

TEST_CASE_FIXTURE(Fixture, "a name is resolved at every dial") {
  for (int i = 0; i < 2; ++i) {
    const auto dialer = dial();
    CHECK(dialer->resolving());
    CHECK(outcome.events.empty());
    network.resolve_with({"192.0.2.1"});
    CHECK_FALSE(dialer->resolving());
    CHECK(outcome.events == Words{"resolved"});
    outcome.events.clear();
  }
  CHECK(network.queries() == 2);
}

TEST_CASE_FIXTURE(Fixture, "localhost is both loopbacks, without a resolver") {
  DialOptions options;
  options.host = "localhost";
  options.port = 3000;
  const auto dialer = dial_with(options);
  network.refuse(0, "connection refused");
  loop.turn();
  CHECK(network.queries() == 0);
  CHECK(network.attempted() == std::vector<std::string>{"127.0.0.1:3000", "[::1]:3000"});
}

TEST_CASE_FIXTURE(Fixture, "an address in place of a name needs no resolver") {
  for (const std::string host : {"127.0.0.1", "::1", "[::1]"}) {
    DialOptions options;
    options.host = host;
    options.port = 8443;
    const auto dialer = dial_with(options);
    CHECK_FALSE(dialer->resolving());
  }
  CHECK(network.queries() == 0);
  CHECK(attempted() == Words{"127.0.0.1:8443", "[::1]:8443", "[::1]:8443"});
}

TEST_CASE_FIXTURE(Fixture,
                  "the next address is tried after the head start, while the first goes on") {
  const auto dialer = dial();
  network.resolve_with(kTwoOfEach);
  CHECK(attempted() == Words{"[2001:db8::1]:443"});
  loop.advance(Milliseconds(249));
  CHECK(attempted().size() == 1);
  loop.advance(Milliseconds(1));
  CHECK(attempted() == Words{"[2001:db8::1]:443", "192.0.2.1:443"});
  CHECK(network.connecting() == 2);
  loop.advance(Milliseconds(500));
  CHECK(attempted().size() == 4);
  network.connect(0);
  CHECK(outcome.events == Words{"resolved", "dialed [2001:db8::1]:443"});
}

TEST_CASE_FIXTURE(Fixture, "the first to connect wins, and the others are cancelled") {
  const auto dialer = dial();
  network.resolve_with(kTwoOfEach);
  loop.advance(Milliseconds(250));
  network.connect(1);
  loop.turn();
  CHECK(outcome.events == Words{"resolved", "dialed 192.0.2.1:443"});
  CHECK(outcome.stream != nullptr);
  CHECK(network.connecting() == 0);
  loop.advance(Milliseconds(60'000));
  CHECK(attempted().size() == 2);
  CHECK(outcome.events.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "two addresses that connect in the same turn give one stream") {
  const auto dialer = dial();
  network.resolve_with(kTwoOfEach);
  loop.advance(Milliseconds(250));
  network.connect(1);
  network.connect(0);
  loop.turn();
  CHECK(outcome.events == Words{"resolved", "dialed 192.0.2.1:443"});
}

TEST_CASE_FIXTURE(Fixture,
                  "a failure lets the next address start at once, with a full head start") {
  const auto dialer = dial();
  network.resolve_with(kTwoOfEach);
  loop.advance(Milliseconds(200));
  network.refuse(0, "connection refused");
  CHECK(attempted() == Words{"[2001:db8::1]:443", "192.0.2.1:443"});
  loop.advance(Milliseconds(249));
  CHECK(attempted().size() == 2);
  loop.advance(Milliseconds(1));
  CHECK(attempted().size() == 3);
}

TEST_CASE_FIXTURE(Fixture, "when every address fails the error says what each one answered") {
  const auto dialer = dial();
  network.resolve_with({"2001:db8::1", "192.0.2.1"});
  network.refuse(0, "network is unreachable");
  CHECK(outcome.events == Words{"resolved"});
  network.refuse(1, "connection refused");
  CHECK(outcome.events == Words{"resolved", "failed"});
  CHECK(outcome.error.kind == ErrorKind::kUnreachable);
  CHECK(outcome.error.side == Side::kGateway);
  CHECK(outcome.error.detail ==
        "cannot connect to gw.example: [2001:db8::1]:443: network is unreachable; "
        "192.0.2.1:443: connection refused");
}

TEST_CASE_FIXTURE(Fixture, "a failure waits for those that are still connecting") {
  const auto dialer = dial();
  network.resolve_with({"2001:db8::1", "192.0.2.1"});
  loop.advance(Milliseconds(250));
  network.refuse(1, "connection refused");
  CHECK(outcome.events == Words{"resolved"});
  network.connect(0);
  CHECK(outcome.events == Words{"resolved", "dialed [2001:db8::1]:443"});
}

TEST_CASE_FIXTURE(Fixture, "one deadline covers resolving and connecting") {
  const auto dialer = dial();
  loop.advance(Milliseconds(4'000));
  network.resolve_with({"192.0.2.1"});
  loop.advance(Milliseconds(5'999));
  CHECK(outcome.events == Words{"resolved"});
  loop.advance(Milliseconds(1));
  CHECK(outcome.events == Words{"resolved", "failed"});
  CHECK(outcome.error.kind == ErrorKind::kTimeout);
  CHECK(outcome.error.detail ==
        "cannot connect to gw.example within 10 s: no answer from 192.0.2.1:443");
  CHECK(network.connecting() == 0);
}

TEST_CASE_FIXTURE(Fixture, "name servers that are silent run into the deadline") {
  const auto dialer = dial();
  loop.advance(Milliseconds(10'000));
  CHECK(outcome.events == Words{"failed"});
  CHECK(outcome.error.kind == ErrorKind::kTimeout);
  CHECK(outcome.error.detail.find("cannot resolve \"gw.example\" within 10 s") == 0);
}

TEST_CASE_FIXTURE(Fixture, "a name that cannot be resolved fails the dial") {
  const auto dialer = dial();
  network.fail_resolving("no such name");
  CHECK(outcome.events == Words{"failed"});
  CHECK(outcome.error.kind == ErrorKind::kResolve);
  loop.advance(Milliseconds(60'000));
  CHECK(outcome.events.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a host with very many addresses is not tried without end") {
  std::vector<std::string> many;
  for (int i = 1; i <= 200; ++i)
    many.push_back("192.0.2." + std::to_string(i));
  const auto dialer = dial();
  network.resolve_with(many);
  loop.advance(Milliseconds(9'000));
  CHECK(attempted().size() == 16);
}

TEST_CASE_FIXTURE(Fixture, "a cancelled dial is silent") {
  auto dialer = dial();
  network.resolve_with(kTwoOfEach);
  dialer->cancel();
  network.connect(0);
  loop.advance(Milliseconds(60'000));
  CHECK(outcome.events == Words{"resolved"});
  CHECK(network.connecting() == 0);

  dialer = dial();
  dialer->cancel();
  loop.advance(Milliseconds(60'000));
  CHECK(outcome.events == Words{"resolved"});
}

TEST_CASE_FIXTURE(Fixture, "hints stand in for a name that cannot be resolved, and only then") {
  DialOptions options;
  options.host = "gw.example";
  options.address_hints = {"192.0.2.7", "no address"};
  {
    const auto dialer = dial_with(options);
    network.resolve_with({"192.0.2.1"});
    CHECK(attempted() == Words{"192.0.2.1:443"});
  }
  const auto dialer = dial_with(options);
  network.fail_resolving("no such name");
  CHECK(attempted() == Words{"192.0.2.1:443", "192.0.2.7:443"});
  CHECK(outcome.error.detail.empty());
}
