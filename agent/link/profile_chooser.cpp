#include "agent/link/profile_chooser.h"

#include "common/check.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// How much earlier than the interval a look may be.
constexpr int kJitterShare = 5;

// Whether another profile might fare better.
bool is_about_profile(const ProfileTrial& trial, const Error& error) {
  if (error.side == Side::kLocal) return false;
  switch (error.kind) {
    case ErrorKind::kProtocol:
    case ErrorKind::kConfiguration:
      return true;
    case ErrorKind::kClosed:
    case ErrorKind::kTimeout:
      return trial.step == LinkState::kReversing || trial.step == LinkState::kAttaching;
    default:
      return false;
  }
}

bool share_id(const Profile* one, const Profile& other) {
  return one != nullptr && !ProfileOffer(*one).add(other);
}

bool is_confirmed(const Profile& profile) {
  return profile.assurance() > Assurance::kUnconfirmed;
}

// Whether that connection has tried the profile: of an offer, the one that was agreed on; without
// an agreement, all.
bool has_tried(const ProfileTrial& trial, std::string_view name) {
  return trial.agreed != nullptr ? trial.agreed->name() == name : trial.offer.contains(name);
}

}  // namespace

ProfileChooser::ProfileChooser(std::vector<std::unique_ptr<Profile>> profiles,
                               const AutoOptions& options)
    : interval_(profiles.size() > 1 ? options.interval : Milliseconds(0)) {
  CHECK_INVARIANT(!profiles.empty());
  std::stable_partition(profiles.begin(), profiles.end(),
                        [](const auto& profile) { return is_confirmed(*profile); });
  for (auto& profile : profiles)
    candidates_.push_back({std::move(profile)});
}

bool ProfileChooser::may_offer(const Candidate& candidate) const {
  return candidate.profile->assurance() >= least_;
}

std::optional<size_t> ProfileChooser::find(std::string_view name) const {
  for (size_t index = 0; index < candidates_.size(); ++index) {
    if (candidates_[index].profile->name() == name) return index;
  }
  return std::nullopt;
}

ProfileOffer ProfileChooser::next() const {
  ProfileOffer offer;
  if (!favourite_ || favourite_failed_) offer = offer_untried(taken());
  if (offer.empty() && favourite_) offer.add(*candidates_[*favourite_].profile);
  CHECK_INVARIANT(!offer.empty());
  if (certificate_required_) offer.require_certificate_request();
  return offer;
}

ProfileOffer ProfileChooser::offer_of(const Profile& profile) const {
  ProfileOffer offer(profile);
  if (certificate_required_) offer.require_certificate_request();
  return offer;
}

// Of those that have not failed in this round.
ProfileOffer ProfileChooser::offer_untried(const Profile* unlike) const {
  ProfileOffer offer;
  for (const Candidate& candidate : candidates_) {
    if (candidate.failed || !may_offer(candidate)) continue;
    if (share_id(unlike, *candidate.profile)) continue;
    if (is_confirmed(*candidate.profile) || offer.empty()) offer.add(*candidate.profile);
    if (!is_confirmed(*candidate.profile)) break;
  }
  return offer.empty() && unlike != nullptr ? offer_untried(nullptr) : offer;
}

// The profile whose ALPN ids are better left alone; null: none.
const Profile* ProfileChooser::taken() const {
  if (!favourite_ || !favourite_used_) return nullptr;
  const Profile* const favourite = candidates_[*favourite_].profile.get();
  return is_confirmed(*favourite) ? nullptr : favourite;
}

void ProfileChooser::used(const Profile& profile) {
  favourite_used_ = favourite_used_ || (favourite_ && find(profile.name()) == favourite_);
}

void ProfileChooser::begin_round() {
  for (Candidate& candidate : candidates_)
    candidate.failed = false;
  refusal_.reset();
}

void ProfileChooser::worked(const ProfileTrial& trial, uint64_t now_ms) {
  const auto index = find(trial.agreed->name());
  CHECK_INVARIANT(index.has_value());
  if (!may_offer(candidates_[*index])) return;  // Dialled before a better one worked.
  favourite_used_ = favourite_used_ && favourite_ == index;
  favourite_ = index;
  favourite_failed_ = false;
  least_ = candidates_[*index].profile->assurance();
  certificate_required_ |= candidates_.size() > 1 && trial.showed_certificate;
  if (looked_ms_ == 0) looked_ms_ = now_ms;
  begin_round();
}

ProfileChooser::Verdict ProfileChooser::failed(const ProfileTrial& trial, const Error& error) {
  if (!is_about_profile(trial, error)) return {explained(trial, error)};
  bool any_left = false;
  favourite_failed_ = favourite_ && has_tried(trial, candidates_[*favourite_].profile->name());
  for (Candidate& candidate : candidates_) {
    candidate.failed = candidate.failed || has_tried(trial, candidate.profile->name());
    any_left = any_left || (!candidate.failed && may_offer(candidate));
  }
  if (trial.probably_refused) refusal_ = explained(trial, error);
  if (any_left) return {error, true};
  const Error told = refusal_.value_or(explained(trial, error));
  begin_round();
  return {told};
}

// --- Looks for something better
// -------------------------------------------------------------------

Milliseconds ProfileChooser::interval() const {
  return interval_;
}

ProfileOffer ProfileChooser::better(const Profile& current, uint64_t now_ms) {
  const auto index = find(current.name());
  if (!index || *index == 0 || interval_.count() <= 0) return {};
  // Another link has found it.
  if (favourite_ && *favourite_ < *index) return offer_of(*candidates_[*favourite_].profile);
  const Milliseconds since(now_ms - looked_ms_);
  if (since < interval_ - interval_ / kJitterShare) return {};
  looked_ms_ = now_ms;
  ProfileOffer offer = offer_unseen(*index, taken());
  if (offer.empty()) {
    for (Candidate& candidate : candidates_)
      candidate.not_seen = false;
    offer = offer_unseen(*index, taken());
  }
  if (certificate_required_) offer.require_certificate_request();
  return offer;
}

ProfileOffer ProfileChooser::offer_unseen(size_t before, const Profile* unlike) const {
  ProfileOffer offer;
  for (size_t index = 0; index < before; ++index) {
    const Candidate& candidate = candidates_[index];
    if (candidate.not_seen || !may_offer(candidate)) continue;
    if (share_id(unlike, *candidate.profile)) continue;
    offer.add(*candidate.profile);
  }
  return offer;
}

void ProfileChooser::not_better(const ProfileTrial& trial) {
  for (Candidate& candidate : candidates_)
    candidate.not_seen = candidate.not_seen || has_tried(trial, candidate.profile->name());
}

std::string ProfileChooser::names() const {
  std::string names;
  for (const Candidate& candidate : candidates_)
    names += (names.empty() ? "" : ", ") + std::string(candidate.profile->name());
  return names;
}

Error explained(const ProfileTrial& trial, Error error) {
  if (!trial.probably_refused) return error;
  error.kind = ErrorKind::kRefused;
  error.retryable = false;
  return error;
}

}  // namespace ptth
