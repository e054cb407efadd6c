#pragma once

// How a gateway may ask who we are by a request on the reversed connection
// (draft-thomson-ptth-potato section 5.2), for one gateway.

#include "common/token_bucket.h"

#include <string>
#include <vector>

namespace ptth {

struct ChallengeOptions {
  // What is asked for, with the gateway's own name as the authority.
  std::string path = "/.well-known/ptth-challenge";
  std::string token_file;             // Answered with this bearer token, or
  std::string key_file;               // with a signature by this private key (PEM).
  std::string key_id;                 // What the gateway calls that key; empty: key_name().
  std::vector<std::string> prefixes;  // The paths that we serve to this gateway; empty: all.
  Rate rate{10, 1};                   // Answers on one connection.

  [[nodiscard]] bool enabled() const { return !token_file.empty() || !key_file.empty(); }

  [[nodiscard]] bool operator==(const ChallengeOptions&) const = default;
};

}  // namespace ptth
