#include "agent/link/profile_chooser.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using ptth::Assurance;
using ptth::AutoOptions;
using ptth::ByteStream;
using ptth::Error;
using ptth::ErrorKind;
using ptth::LinkState;
using ptth::Loop;
using ptth::Milliseconds;
using ptth::Profile;
using ptth::ProfileChooser;
using ptth::ProfileOffer;
using ptth::ProfileTrial;
using ptth::Side;

namespace {

struct Kind {
  const char* name;
  std::vector<std::string> alpn;
  Assurance assurance = Assurance::kConfirmed;
};

class NamedProfile final : public Profile {
 public:
  explicit NamedProfile(Kind kind) : kind_(std::move(kind)) {}

  [[nodiscard]] std::string_view name() const override { return kind_.name; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return kind_.alpn; }

  [[nodiscard]] bool requires_alpn() const override { return kind_.alpn.front() != "http/1.1"; }

  [[nodiscard]] Assurance assurance() const override { return kind_.assurance; }

  [[nodiscard]] ptth::DrainStyle drain_style() const override {
    return ptth::DrainStyle::kAnnounce;
  }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& /*loop*/,
                                                    std::unique_ptr<ByteStream> /*connected*/,
                                                    Listener& /*listener*/) const override {
    return nullptr;
  }

 private:
  Kind kind_;
};

const Kind kMutual{"mutual", {"m"}, Assurance::kMutual};
const Kind kPotato{"potato", {"p2", "p1"}};
const Kind kUpgrade{"upgrade", {"http/1.1"}};
const Kind kOldUpgrade{"old-upgrade", {"http/1.1"}};
const Kind kConnect{"connect", {"h2"}};
const Kind kHaproxy{"haproxy", {"h2"}, Assurance::kUnconfirmed};

const Error kProtocol{ErrorKind::kProtocol, Side::kGateway, "nonsense", false};
const Error kClosed{ErrorKind::kClosed, Side::kGateway, "closed", true};

struct Stage {
  explicit Stage(const std::vector<Kind>& kinds, int64_t interval_ms = 10'000)
      : chooser(profiles_of(kinds), {{}, Milliseconds(interval_ms)}) {}

  static std::vector<std::unique_ptr<Profile>> profiles_of(const std::vector<Kind>& kinds) {
    std::vector<std::unique_ptr<Profile>> profiles;
    for (const Kind& kind : kinds)
      profiles.push_back(std::make_unique<NamedProfile>(kind));
    return profiles;
  }

  // A connection with what is next, on which the gateway confirms this id.
  ProfileTrial dial(std::string_view alpn) {
    ProfileTrial trial;
    trial.offer = chooser.next();
    trial.agreed = trial.offer.agreed(alpn);
    trial.step = LinkState::kReversing;
    return trial;
  }

  bool fail(std::string_view alpn, const Error& error = kProtocol) {
    return chooser.failed(dial(alpn), error).tries_next;
  }

  void work(std::string_view alpn, uint64_t now_ms = 1) {
    const ProfileTrial trial = dial(alpn);
    REQUIRE(trial.agreed != nullptr);
    chooser.worked(trial, now_ms);
  }

  [[nodiscard]] std::string next() const { return chooser.next().names(); }

  ProfileChooser chooser;
};

}  // namespace

TEST_CASE("one profile is always the next, and each failure is told as it is") {
  Stage stage({kHaproxy});
  CHECK(stage.next() == "haproxy");
  ProfileTrial trial = stage.dial("h2");
  const auto verdict = stage.chooser.failed(trial, kProtocol);
  CHECK_FALSE(verdict.tries_next);
  CHECK(verdict.error.kind == ErrorKind::kProtocol);
  CHECK(stage.next() == "haproxy");
  trial.probably_refused = true;
  CHECK(stage.chooser.failed(trial, kClosed).error.kind == ErrorKind::kRefused);
  CHECK(stage.chooser.interval().count() == 0);
  trial.showed_certificate = true;
  stage.chooser.worked(trial, 1);
  CHECK_FALSE(stage.chooser.next().requires_certificate_request());
}

TEST_CASE("one connection offers all that the gateway can tell apart, in their order") {
  Stage stage({kMutual, kPotato, kUpgrade, kConnect, kOldUpgrade, kHaproxy});
  const ProfileOffer offer = stage.chooser.next();
  CHECK(offer.names() == "mutual, potato, upgrade, connect");
  CHECK(offer.default_alpn() == std::vector<std::string>{"m", "p2", "p1", "http/1.1", "h2"});
  CHECK(offer.agreed("p1")->name() == "potato");
  CHECK(offer.agreed("h2")->name() == "connect");
  CHECK(offer.agreed("")->name() == "upgrade");
  CHECK(offer.agreed("else") == nullptr);
  CHECK_FALSE(offer.requires_alpn());
  CHECK_FALSE(offer.requires_certificate_request());
}

TEST_CASE("what the gateway chose and then failed at is not offered again in the round") {
  Stage stage({kPotato, kUpgrade, kConnect, kOldUpgrade, kHaproxy});
  CHECK(stage.fail("h2"));
  CHECK(stage.next() == "potato, upgrade");
  CHECK(stage.fail("http/1.1"));
  CHECK(stage.next() == "potato, old-upgrade");
  // No agreement: it is none of these.
  CHECK(stage.fail("else"));
  CHECK(stage.next() == "haproxy");
  CHECK_FALSE(stage.fail("h2"));
  CHECK(stage.next() == "potato, upgrade, connect");
}

TEST_CASE("what any HTTP/2 server would take comes last and alone, wherever it stands") {
  Stage stage({kHaproxy, kConnect, kPotato});
  CHECK(stage.next() == "connect, potato");
  CHECK(stage.chooser.names() == "connect, potato, haproxy");
  CHECK(stage.fail("else"));
  CHECK(stage.next() == "haproxy");
}

TEST_CASE("failures that say nothing about the profile leave everything as it was") {
  Stage stage({kPotato, kConnect});
  const auto stays = [&](ErrorKind kind, Side side, LinkState step) {
    ProfileTrial trial = stage.dial("h2");
    trial.step = step;
    const auto verdict = stage.chooser.failed(trial, {kind, side, "x", false});
    CHECK_FALSE(verdict.tries_next);
    CHECK(verdict.error.kind == kind);
    CHECK(stage.next() == "potato, connect");
  };
  using enum ErrorKind;
  stays(kRefused, Side::kGateway, LinkState::kReversing);
  stays(kRefused, Side::kGateway, LinkState::kSecuring);
  stays(kCertificate, Side::kGateway, LinkState::kSecuring);
  stays(kUnavailable, Side::kGateway, LinkState::kReversing);
  stays(kResolve, Side::kGateway, LinkState::kResolving);
  stays(kUnreachable, Side::kGateway, LinkState::kConnecting);
  stays(kTimeout, Side::kGateway, LinkState::kConnecting);
  stays(kTimeout, Side::kGateway, LinkState::kSecuring);
  stays(ErrorKind::kClosed, Side::kGateway, LinkState::kSecuring);
  stays(kConfiguration, Side::kLocal, LinkState::kReversing);
}

TEST_CASE("failures in which another profile might fare better go on") {
  using enum ErrorKind;
  const auto goes_on = [](ErrorKind kind, LinkState step) {
    Stage stage({kPotato, kConnect});
    ProfileTrial trial = stage.dial("h2");
    trial.step = step;
    CHECK(stage.chooser.failed(trial, {kind, Side::kGateway, "x", false}).tries_next);
    CHECK(stage.next() == "potato");
  };
  goes_on(ErrorKind::kProtocol, LinkState::kSecuring);
  goes_on(ErrorKind::kProtocol, LinkState::kReversing);
  goes_on(kConfiguration, LinkState::kReversing);
  goes_on(ErrorKind::kClosed, LinkState::kReversing);
  goes_on(ErrorKind::kClosed, LinkState::kAttaching);
  goes_on(kTimeout, LinkState::kReversing);
  goes_on(kTimeout, LinkState::kAttaching);
}

TEST_CASE(
    "a connection that is closed right after TLS is a refusal once all profiles met with it") {
  Stage stage({kPotato, kConnect});
  ProfileTrial trial = stage.dial("h2");
  trial.probably_refused = true;
  const auto first = stage.chooser.failed(trial, kClosed);
  CHECK(first.tries_next);
  CHECK(first.error.kind == ErrorKind::kClosed);
  const auto last = stage.chooser.failed(stage.dial("else"), kProtocol);
  CHECK_FALSE(last.tries_next);
  CHECK(last.error.kind == ErrorKind::kRefused);
  // The next round knows nothing of it.
  CHECK(stage.fail("h2"));
  CHECK(stage.chooser.failed(stage.dial("else"), kProtocol).error.kind == ErrorKind::kProtocol);
}

TEST_CASE("what has worked is the next, and after a failure every second") {
  Stage stage({kPotato, kUpgrade, kConnect});
  stage.work("http/1.1");
  CHECK(stage.next() == "upgrade");
  CHECK(stage.fail("http/1.1"));
  CHECK(stage.next() == "potato, connect");
  CHECK(stage.fail("h2"));
  CHECK(stage.next() == "upgrade");
  CHECK(stage.fail("http/1.1"));
  CHECK(stage.next() == "potato");
  CHECK_FALSE(stage.fail("else"));
  CHECK(stage.next() == "upgrade");
  CHECK(stage.fail("http/1.1"));
  stage.work("h2");
  CHECK(stage.next() == "connect");
}

TEST_CASE("links that fail together at the same profile do not skip one") {
  Stage stage({kUpgrade, kOldUpgrade});
  const ProfileTrial one = stage.dial("http/1.1");
  const ProfileTrial other = stage.dial("http/1.1");
  CHECK(stage.chooser.failed(one, kProtocol).tries_next);
  CHECK(stage.chooser.failed(other, kProtocol).tries_next);
  CHECK(stage.next() == "old-upgrade");
}

TEST_CASE("whoever breaks connections cannot force a profile that is less secure than one before") {
  Stage stage({kMutual, kPotato, kConnect, kHaproxy});
  stage.work("h2");
  for (int dial = 0; dial < 50; ++dial) {
    CHECK(stage.next().find("haproxy") == std::string::npos);
    stage.fail(dial % 3 == 0 ? "p2" : "h2", kClosed);
  }
  while (stage.next().find("mutual") == std::string::npos)
    stage.fail("h2");
  stage.work("m");
  for (int dial = 0; dial < 50; ++dial) {
    CHECK(stage.next() == "mutual");
    CHECK_FALSE(stage.fail("m", kClosed));
  }
}

TEST_CASE("a connection that was dialled before a better one worked does not undo that") {
  Stage stage({kMutual, kConnect});
  const ProfileTrial early = stage.dial("h2");
  stage.work("m");
  stage.chooser.worked(early, 2);
  CHECK(stage.next() == "mutual");
}

TEST_CASE("once our certificate was asked for, every connection has to ask for it") {
  Stage stage({kPotato, kUpgrade, kConnect});
  ProfileTrial trial = stage.dial("http/1.1");
  trial.showed_certificate = true;
  stage.chooser.worked(trial, 1);
  CHECK(stage.chooser.next().requires_certificate_request());
  CHECK(stage.fail("http/1.1"));
  CHECK(stage.next() == "potato, connect");
  CHECK(stage.chooser.next().requires_certificate_request());
  CHECK(stage.chooser.better(NamedProfile(kUpgrade), 20'000).requires_certificate_request());
}

TEST_CASE("one connection per interval looks for something better, the next one for what is left") {
  Stage stage({kPotato, kUpgrade, kConnect, kOldUpgrade});
  for (int dial = 0; dial < 3; ++dial)
    stage.fail(dial == 0 ? "h2" : dial == 1 ? "http/1.1" : "p2");
  stage.work("http/1.1", 1'000);
  REQUIRE(stage.next() == "old-upgrade");
  const NamedProfile current(kOldUpgrade);
  CHECK(stage.chooser.better(current, 8'999).empty());
  const ProfileOffer first = stage.chooser.better(current, 9'000);
  CHECK(first.names() == "potato, upgrade, connect");
  // Not also by another link.
  CHECK(stage.chooser.better(current, 9'001).empty());
  ProfileTrial trial{first, first.agreed("h2"), LinkState::kReversing};
  stage.chooser.not_better(trial);
  const ProfileOffer second = stage.chooser.better(current, 19'000);
  CHECK(second.names() == "potato, upgrade");
  stage.chooser.not_better({second, nullptr, LinkState::kSecuring});
  // All have been looked at: once more from the start.
  CHECK(stage.chooser.better(current, 29'000).names() == "potato, upgrade, connect");
  // Nothing of this changes where a dial begins.
  CHECK(stage.next() == "old-upgrade");
}

TEST_CASE("when one link has found something better the others follow at once") {
  Stage stage({kPotato, kUpgrade});
  stage.fail("p2");
  stage.work("http/1.1");
  const ProfileOffer offer = stage.chooser.better(NamedProfile(kUpgrade), 9'000);
  stage.chooser.worked({offer, offer.agreed("p2"), LinkState::kAttached}, 9'100);
  CHECK(stage.chooser.better(NamedProfile(kUpgrade), 9'200).names() == "potato");
  CHECK(stage.chooser.better(NamedProfile(kPotato), 90'000).empty());
}

TEST_CASE("a look is never for what is less secure than what has worked") {
  Stage stage({kPotato, kMutual});
  stage.work("m");
  CHECK(stage.chooser.better(NamedProfile(kMutual), 90'000).empty());
}

TEST_CASE(
    "a gateway that would send requests on a connection that only tries is not asked with it") {
  Stage stage({kPotato, kUpgrade, kConnect, kHaproxy});
  const NamedProfile haproxy(kHaproxy);
  stage.fail("h2");
  stage.fail("else");
  stage.work("h2");
  CHECK(stage.chooser.better(haproxy, 9'000).names() == "potato, upgrade, connect");
  stage.chooser.used(haproxy);
  CHECK(stage.chooser.better(haproxy, 19'000).names() == "potato, upgrade");
  // Nor in a round, before nothing else is left.
  CHECK(stage.fail("h2"));
  CHECK(stage.next() == "potato, upgrade");
  CHECK(stage.fail("else"));
  CHECK(stage.next() == "haproxy");
  CHECK(stage.fail("h2"));
  CHECK(stage.next() == "connect");
}

TEST_CASE("an interval of 0 looks for nothing") {
  Stage stage({kPotato, kUpgrade}, 0);
  stage.fail("p2");
  stage.work("http/1.1");
  CHECK(stage.chooser.interval().count() == 0);
  CHECK(stage.chooser.better(NamedProfile(kUpgrade), 1'000'000).empty());
}
