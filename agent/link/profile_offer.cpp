#include "agent/link/profile_offer.h"

#include <algorithm>

namespace ptth {

namespace {

using Ids = std::vector<std::string>;

void append(Ids& ids, const Ids& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

Ids ids_of(const Profile& profile) {
  Ids ids = profile.default_alpn();
  append(ids, profile.http1_alpn());
  return ids;
}

bool contains_id(const Ids& ids, std::string_view id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

bool ProfileOffer::add(const Profile& profile) {
  const Ids ids = ids_of(profile);
  for (const Profile* other : profiles_) {
    const Ids taken = ids_of(*other);
    if (taken.empty() || ids.empty()) return false;
    for (const std::string& id : ids) {
      if (contains_id(taken, id)) return false;
    }
  }
  profiles_.push_back(&profile);
  return true;
}

bool ProfileOffer::contains(std::string_view name) const {
  return std::any_of(profiles_.begin(), profiles_.end(),
                     [name](const Profile* profile) { return profile->name() == name; });
}

const Profile* ProfileOffer::agreed(std::string_view alpn) const {
  if (profiles_.size() == 1) return profiles_.front();
  for (const Profile* profile : profiles_) {
    const bool fits =
        alpn.empty() ? !profile->requires_alpn() : contains_id(ids_of(*profile), alpn);
    if (fits) return profile;
  }
  return nullptr;
}

std::vector<std::string> ProfileOffer::default_alpn() const {
  Ids ids;
  for (const Profile* profile : profiles_)
    append(ids, profile->default_alpn());
  return ids;
}

std::vector<std::string> ProfileOffer::http1_alpn() const {
  Ids ids;
  for (const Profile* profile : profiles_)
    append(ids, profile->http1_alpn());
  return ids;
}

bool ProfileOffer::requires_alpn() const {
  return std::all_of(profiles_.begin(), profiles_.end(),
                     [](const Profile* profile) { return profile->requires_alpn(); });
}

bool ProfileOffer::requires_certificate_request() const {
  return certificate_required_ ||
         std::all_of(profiles_.begin(), profiles_.end(), [](const Profile* profile) {
           return profile->requires_certificate_request();
         });
}

bool ProfileOffer::may_leave_tls() const {
  return std::any_of(profiles_.begin(), profiles_.end(),
                     [](const Profile* profile) { return profile->may_leave_tls(); });
}

std::string ProfileOffer::names() const {
  std::string names;
  for (const Profile* profile : profiles_)
    names += (names.empty() ? "" : ", ") + std::string(profile->name());
  return names;
}

}  // namespace ptth
