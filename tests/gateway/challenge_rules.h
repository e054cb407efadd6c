#pragma once

// What a worker must answer when the gateway asks who it is (draft-thomson-ptth-potato section 5.2,
// in the form that agent/README.md describes), checked as strictly as it can be read. With no part
// of the agent's, so that both are tested.

#include "common/http_message.h"
#include "common/loop.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptth::dev {

inline constexpr const char* kExporterLabel = "EXPORTER-ptth-challenge";

struct ChallengeRules {
  std::string path = "/.well-known/ptth-challenge";
  std::string authority = "localhost";  // As workers know us.
  std::string token_file;               // The answer must hold this bearer token, or
  std::string key_file;          // must be signed with the key whose public half (PEM) this is.
  Milliseconds max_age{60'000};  // Of a signature.

  [[nodiscard]] bool asked() const { return !token_file.empty() || !key_file.empty(); }
};

// What one worker was asked, and who it is.
struct ChallengeAsked {
  std::string nonce;     // The value of Ptth-Challenge.
  std::string exporter;  // Of its TLS connection; empty: there is none.
  int64_t now = 0;       // In seconds since 1970.
};

struct ChallengeAnswer {
  int status = 0;
  FieldList fields;
  std::string body;
};

// The first thing that is wrong, in one line; or what the worker says of itself.
struct ChallengeVerdict {
  std::optional<std::string> wrong;
  std::vector<std::string> prefixes;
};

[[nodiscard]] ChallengeVerdict judge_challenge(const ChallengeRules& rules,
                                               const ChallengeAsked& asked,
                                               const ChallengeAnswer& answer);

// Whether a worker with those prefixes serves the path; none: it serves everything.
[[nodiscard]] bool serves(const std::vector<std::string>& prefixes, std::string_view path);

}  // namespace ptth::dev
