#pragma once

// What we answer when a gateway asks who we are (draft-thomson-ptth-potato section 5.2, which
// leaves the form to the two sides): a JSON document that holds a bearer token, or that is signed
// (RFC 9421) together with the gateway's nonce and with a value that only this TLS connection has.
//
// The request: GET, with the nonce in Ptth-Challenge as a byte sequence (RFC 8941). The signature
// covers, in this order, what kCovered in the .cpp lists.

#include "agent/link/challenge_options.h"
#include "common/error.h"
#include "common/http_message.h"
#include "common/secret.h"

#include <cstdint>
#include <optional>
#include <string>

namespace ptth {

inline constexpr const char* kChallengeExporterLabel = "EXPORTER-ptth-challenge";
// Of the nonce, decoded.
inline constexpr size_t kNonceBytesMin = 16;
inline constexpr size_t kNonceBytesMax = 64;

struct ChallengeQuestion {
  std::string authority;  // As RFC 9421 section 2.2.3 writes it.
  std::string path;
  std::string nonce;  // The value of Ptth-Challenge, checked; empty: none came.
};

// The nonce field of a request. kBadRequest: it comes twice, is no byte sequence, or is too short
// or too long.
[[nodiscard]] Result<std::string> challenge_nonce(const FieldList& fields);

struct ChallengeFacts {
  std::string worker;  // Which process this is.
  // TlsStream::exporter_value of kChallengeExporterLabel.
  std::optional<std::string> exporter;
  int64_t now = 0;  // In seconds since 1970.
};

struct ChallengeAnswer {
  ResponseHead head;
  Secret body;
};

// Reads the file of the token or the key now. kConfiguration, kInternal: there is no answer; the
// reason is not for the gateway.
[[nodiscard]] Result<ChallengeAnswer> answer_challenge(const ChallengeOptions& options,
                                                       const ChallengeFacts& facts,
                                                       const ChallengeQuestion& question);

// The token or the key can be used. kConfiguration, as above. Reads the file.
[[nodiscard]] Result<void> try_challenge(const ChallengeOptions& options);

// Settings that contradict each other. Reads no file.
[[nodiscard]] Result<void> check_challenge_options(const ChallengeOptions& options);

}  // namespace ptth
