#pragma once

// CredentialWatch: the credentials of one gateway over time. It notices that their files have
// changed, that what is there now can be used or not, and that a certificate comes to its end. Its
// owner asks it to look, every few seconds, and renews the links.

#include "agent/link/link.h"
#include "common/file_stamp.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/tls_contexts.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ptth {

class CredentialWatch {
 public:
  // Outlives the watch.
  struct Surroundings {
    Log& log;
    Metrics& metrics;
    TlsContexts& tls_contexts;
  };

  // expiry_warning: so long before our certificate's end, but not before the last fifth of its
  // time, the log says so, once a day.
  CredentialWatch(const Surroundings& around, const GatewayOptions& gateway,
                  Milliseconds expiry_warning);

  // now: seconds since 1970. True: files have changed, have stayed as they are since it last
  // looked, and can be used. When they cannot, the log says why, and links stay as they are.
  [[nodiscard]] bool look(int64_t now);

 private:
  [[nodiscard]] std::vector<FileStamp> stamps() const;
  [[nodiscard]] Result<void> try_credentials();
  void note_expiry(const TlsContext& context);
  void warn_of_expiry(int64_t now);
  [[nodiscard]] Counter& reloads(const std::string& outcome);

  Surroundings around_;
  std::string gateway_;
  bool uses_tls_;
  TlsOptions tls_options_;
  AuthOptions auth_options_;
  ChallengeOptions challenge_options_;
  int64_t warn_before_;
  std::vector<std::string> files_;
  std::vector<FileStamp> in_use_;
  // What was there last time.
  std::vector<FileStamp> seen_;
  int64_t expiry_ = 0;  // 0: no certificate.
  int64_t warn_from_ = 0;
  int64_t next_warning_ = 0;
};

}  // namespace ptth
