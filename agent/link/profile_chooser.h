#pragma once

// ProfileChooser: with which profile the next connection to a gateway is reversed. All links of a
// gateway share one. With a single profile it is always that; with several (--profile auto) it
// finds out which the gateway speaks, remembers it, and looks for a better one now and then.
//
// How it finds out. One connection offers all profiles that the gateway can tell apart by their
// ALPN ids. What fails because of the profile is not offered again before all others have had their
// turn: that is a round. A gateway that cannot be reached, that has no room, or that refuses our
// credentials says nothing about the profile: the same is offered again. Once a profile has worked,
// the next dial begins there, and so does every second dial after it has failed.
//
// What is less secure, and therefore never tried. All profiles of a round verify the gateway, by
// the same name and CA, keep that TLS to the end, and carry all credentials that are configured;
// who makes the list (agent/profiles.h) leaves the others out: Envoy's, which leaves TLS, direct,
// which takes everything for arranged, and each that has no place for a token that is configured.
// Of those that remain, the less secure one is that of lower Assurance; and a connection on which
// the gateway does not ask for our certificate is less secure than one on which it does. Whoever
// can break connections could otherwise choose for us: so once a profile has worked with a gateway,
// none of lower assurance is offered to that gateway any more, and once one has worked on a
// connection on which our certificate was asked for, it has to be on all others. That holds as long
// as the process lives.
//
// A profile of Assurance::kUnconfirmed (haproxy) seems to work with any HTTP/2 server. So it has
// its turn when all others of the round have failed, wherever it stands in the list. And a gateway
// that it fits takes each connection with the same ALPN id into use: a request that it sends where
// we only try is lost. So once requests have come that way, the profiles that share the id are
// tried only when nothing else is left of a round.

#include "agent/link/auto_options.h"
#include "agent/link/link_state.h"
#include "agent/link/profile.h"
#include "agent/link/profile_offer.h"
#include "common/error.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// What became of an offer on one connection.
struct ProfileTrial {
  ProfileOffer offer;
  const Profile* agreed = nullptr;  // With which the connection went on; null: not so far.
  LinkState step = LinkState::kResolving;
  bool showed_certificate = false;  // The gateway asked for ours, and we have one.
  // It was closed right after TLS, which is also what gateways do that do not like our certificate.
  bool probably_refused = false;
  bool has_worked = false;
};

class ProfileChooser {
 public:
  // The best first; at least one, each with a name of its own.
  ProfileChooser(std::vector<std::unique_ptr<Profile>> profiles, const AutoOptions& options);
  ~ProfileChooser() = default;
  ProfileChooser(const ProfileChooser&) = delete;
  ProfileChooser& operator=(const ProfileChooser&) = delete;
  ProfileChooser(ProfileChooser&&) = delete;
  ProfileChooser& operator=(ProfileChooser&&) = delete;

  // For a link without a connection.
  [[nodiscard]] ProfileOffer next() const;

  // It attached.
  void worked(const ProfileTrial& trial, uint64_t now_ms);

  struct Verdict {
    Error error;  // The failure, as it is to be told.
    bool tries_next =
        false;  // Another profile's turn is next: no reason to despair of this gateway.
  };

  // It did not.
  [[nodiscard]] Verdict failed(const ProfileTrial& trial, const Error& error);

  // The gateway sends requests on a connection with it.
  void used(const Profile& profile);

  // For a second connection of a link that is attached with a profile: what would be better. Empty:
  // nothing, or it is not time yet; one connection of one link looks per interval, and when it has
  // found something the others follow.
  [[nodiscard]] ProfileOffer better(const Profile& current, uint64_t now_ms);
  // That connection failed.
  void not_better(const ProfileTrial& trial);

  // After so long a link may ask; 0: never. At most a fifth earlier is not too early.
  [[nodiscard]] Milliseconds interval() const;

  // "potato, ptth, haproxy", in the order in which they are tried.
  [[nodiscard]] std::string names() const;

  [[nodiscard]] size_t size() const { return candidates_.size(); }

 private:
  struct Candidate {
    std::unique_ptr<Profile> profile;
    bool failed = false;    // In this round.
    bool not_seen = false;  // In the looks for something better.
  };

  [[nodiscard]] bool may_offer(const Candidate& candidate) const;
  [[nodiscard]] std::optional<size_t> find(std::string_view name) const;
  [[nodiscard]] ProfileOffer offer_of(const Profile& profile) const;
  [[nodiscard]] ProfileOffer offer_untried(const Profile* unlike) const;
  [[nodiscard]] ProfileOffer offer_unseen(size_t before, const Profile* unlike) const;
  [[nodiscard]] const Profile* taken() const;
  void begin_round();

  std::vector<Candidate> candidates_;
  Milliseconds interval_;
  std::optional<size_t> favourite_;  // Worked last.
  bool favourite_failed_ = false;    // The last time that anything failed.
  bool favourite_used_ = false;      // It carries requests.
  Assurance least_ = Assurance::kArranged;
  bool certificate_required_ = false;
  std::optional<Error> refusal_;  // In this round; probably.
  uint64_t looked_ms_ = 0;
};

// A failure with what it probably means.
[[nodiscard]] Error explained(const ProfileTrial& trial, Error error);

}  // namespace ptth
