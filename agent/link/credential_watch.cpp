#include "agent/link/credential_watch.h"

#include "agent/link/auth.h"
#include "agent/link/challenge_answer.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace ptth {

namespace {

constexpr int64_t kSecondsPerDay = 86'400;
constexpr int64_t kSecondsPerHour = 3'600;

std::vector<std::string> files_of(const GatewayOptions& gateway) {
  const EnvoyOptions& envoy = gateway.envoy;
  std::vector<std::string> files = {
      gateway.auth.token_file,        gateway.auth.basic_file, gateway.challenge.token_file,
      gateway.challenge.key_file,     gateway.proxy.ca_file,   envoy.cert_file,
      gateway.proxy.credentials_file, envoy.key_file,          envoy.ca_file};
  for (const std::string& text : gateway.auth.header_files) {
    if (const auto header = parse_header_file(text)) files.push_back(header.value().file);
  }
  if (gateway.tls) {
    const TlsOptions& tls = gateway.tls_options;
    files.insert(files.end(), {tls.ca_file, tls.cert_file, tls.key_file, tls.pkcs12_file,
                               tls.pkcs12_password_file, tls.crl_file});
  }
  std::erase(files, std::string());
  return files;
}

}  // namespace

CredentialWatch::CredentialWatch(const Surroundings& around, const GatewayOptions& gateway,
                                 Milliseconds expiry_warning)
    : around_(around),
      gateway_(gateway.name),
      uses_tls_(gateway.tls),
      tls_options_(gateway.tls_options),
      auth_options_(gateway.auth),
      challenge_options_(gateway.challenge),
      warn_before_(std::chrono::duration_cast<std::chrono::seconds>(expiry_warning).count()),
      files_(files_of(gateway)),
      in_use_(stamps()),
      seen_(in_use_) {
  if (!uses_tls_ || !tls_options_.has_certificate()) return;
  const auto context = around_.tls_contexts.for_client(tls_options_);
  if (context) {
    note_expiry(*context.value());
    return;
  }
  around_.log.warn("our credentials cannot be used: links wait until they are mended",
                   {{"gateway", gateway_}, {"detail", context.error().detail}});
}

std::vector<FileStamp> CredentialWatch::stamps() const {
  std::vector<FileStamp> stamps;
  stamps.reserve(files_.size());
  for (const std::string& file : files_)
    stamps.push_back(FileStamp::of(file));
  return stamps;
}

bool CredentialWatch::look(int64_t now) {
  warn_of_expiry(now);
  // Several files are not written at once: a certificate and a key belong together.
  const std::vector<FileStamp> before = std::exchange(seen_, stamps());
  if (seen_ != before || seen_ == in_use_) return false;
  in_use_ = seen_;
  const Result<void> usable = try_credentials();
  reloads(usable ? "ok" : "failed").add();
  if (!usable) {
    around_.log.warn("credentials have changed and cannot be used; links stay as they are",
                     {{"gateway", gateway_}, {"detail", usable.error().detail}});
    return false;
  }
  around_.log.info("credentials have changed", {{"gateway", gateway_}});
  next_warning_ = 0;
  return true;
}

Result<void> CredentialWatch::try_credentials() {
  if (uses_tls_) {
    const auto context = around_.tls_contexts.for_client(tls_options_);
    if (!context) return context.error();
    note_expiry(*context.value());
  }
  if (auto usable = try_challenge(challenge_options_); !usable) return usable;
  // What OAuth needs is read at each fetch, and no link waits for that.
  AuthOptions options = auth_options_;
  options.oauth = {};
  const auto credentials = make_hello_credentials(options);
  if (!credentials) return credentials.error();
  if (!credentials.value()) return {};
  const auto fields = credentials.value()();
  if (!fields) return fields.error();
  return {};
}

void CredentialWatch::note_expiry(const TlsContext& context) {
  const auto validity = context.certificate_validity();
  if (!validity) return;
  expiry_ = validity->to;
  // Certificates for hours are renewed within hours.
  warn_from_ = expiry_ - std::min(warn_before_, (validity->to - validity->from) / 5);
  around_.metrics
      .gauge("ptth_credential_expiry_timestamp_seconds",
             "The end of our certificate's validity, in seconds since 1970.",
             {{"gateway", gateway_}})
      .set(static_cast<double>(expiry_));
}

void CredentialWatch::warn_of_expiry(int64_t now) {
  // Further away than one warning from the next: the clock has been set back.
  const bool is_over_soon = next_warning_ - now <= kSecondsPerDay && now < next_warning_;
  if (expiry_ == 0 || now < warn_from_ || is_over_soon) return;
  next_warning_ = now + kSecondsPerDay;
  constexpr const char* kSoon =
      "our certificate expires soon: renew its file, no restart is needed";
  constexpr const char* kOver = "our certificate has expired: renew its file, no restart is needed";
  around_.log.warn(now >= expiry_ ? kOver : kSoon,
                   {{"gateway", gateway_},
                    {"file", tls_options_.identity_file()},
                    {"hours_left", std::max<int64_t>(expiry_ - now, 0) / kSecondsPerHour}});
}

Counter& CredentialWatch::reloads(const std::string& outcome) {
  return around_.metrics.counter("ptth_credential_reloads",
                                 "Changes of credential files that were noticed.",
                                 {{"gateway", gateway_}, {"outcome", outcome}});
}

}  // namespace ptth
