#include "common/tls_contexts.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include <openssl/x509.h>

namespace ptth {

namespace {

// One for each gateway with options of its own; more are made anew each time the turn comes.
constexpr size_t kEntriesMax = 64;
// A certificate that expires is noticed when its context is made.
constexpr std::chrono::hours kAgeMax{1};

std::string from_environment(const char* variable, const char* otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment.
  const char* value = std::getenv(variable);
  return value != nullptr ? value : otherwise;
}

}  // namespace

std::vector<FileStamp> TlsContexts::stamps_of(const TlsOptions& options) {
  std::vector<FileStamp> stamps = {
      FileStamp::of(options.cert_file), FileStamp::of(options.key_file),
      FileStamp::of(options.pkcs12_file), FileStamp::of(options.pkcs12_password_file),
      FileStamp::of(options.crl_file)};
  if (!options.ca_file.empty()) {
    stamps.push_back(FileStamp::of(options.ca_file));
    return stamps;
  }
  stamps.push_back(FileStamp::of(
      from_environment(X509_get_default_cert_file_env(), X509_get_default_cert_file())));
  stamps.push_back(FileStamp::of(
      from_environment(X509_get_default_cert_dir_env(), X509_get_default_cert_dir())));
  return stamps;
}

bool TlsContexts::settled(const std::vector<FileStamp>& stamps) const {
  return std::all_of(stamps.begin(), stamps.end(),
                     [this](const FileStamp& stamp) { return stamp.settled(settle_time_); });
}

Result<std::shared_ptr<TlsContext>> TlsContexts::for_client(const TlsOptions& options) {
  return find_or_make(TlsContext::for_client, options);
}

Result<std::shared_ptr<TlsContext>> TlsContexts::for_server(const TlsOptions& options) {
  return find_or_make(TlsContext::for_server, options);
}

Result<std::shared_ptr<TlsContext>> TlsContexts::find_or_make(Make make,
                                                              const TlsOptions& options) {
  // Before the files are read: what changes meanwhile is read again next time.
  std::vector<FileStamp> stamps = stamps_of(options);
  const auto now = std::chrono::steady_clock::now();
  const auto known = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.make == make && entry.options == options;
  });
  if (known != entries_.end()) {
    if (known->stamps == stamps && now - known->made < kAgeMax) return known->context;
    entries_.erase(known);
  }
  auto made = make(options);
  if (!made) return made.error();
  std::shared_ptr<TlsContext> context = std::move(made).value();
  if (settled(stamps)) {
    if (entries_.size() == kEntriesMax) entries_.erase(entries_.begin());
    entries_.push_back({make, options, std::move(stamps), now, context});
  }
  return context;
}

}  // namespace ptth
