#include "agent/link/credential_watch.h"

#include "common/c_handle.h"
#include "tests/support/signature_keys.h"
#include "tests/support/test_certificates.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::CredentialWatch;
using ptth::FreeWith;
using ptth::GatewayOptions;
using ptth::Log;
using ptth::Metrics;
using ptth::Milliseconds;
using ptth::TlsContexts;
using ptth::test::CertificateRequest;
using ptth::test::IdentityFiles;
using ptth::test::TempDir;
using ptth::test::TestCertificates;

namespace {

constexpr int64_t kNow = 1'900'000'000;
constexpr int64_t kDay = 86'400;
constexpr Milliseconds kWeek{7LL * 86'400'000};

struct CredentialStage {
  CredentialWatch watch_of(const GatewayOptions& gateway) {
    return {{*log, metrics, tls_contexts}, gateway, kWeek};
  }

  [[nodiscard]] uint64_t reloads(const std::string& outcome) {
    return metrics.counter("ptth_credential_reloads", "", {{"gateway", "gw"}, {"outcome", outcome}})
        .value();
  }

  [[nodiscard]] double expiry() {
    return metrics.gauge("ptth_credential_expiry_timestamp_seconds", "", {{"gateway", "gw"}})
        .value();
  }

  // Nothing is logged after it.
  [[nodiscard]] std::string end_log() {
    log.reset();
    std::ifstream text(dir.file("log"));
    return {std::istreambuf_iterator<char>(text), {}};
  }

  TempDir dir;
  std::unique_ptr<std::FILE, FreeWith<std::fclose>> file{std::fopen(dir.file("log").c_str(), "we")};
  std::unique_ptr<Log> log = std::make_unique<Log>(Log::Options{.descriptor = fileno(file.get())});
  Metrics metrics;
  TlsContexts tls_contexts;
};

GatewayOptions gateway_with(const TestCertificates& certificates, const IdentityFiles& worker) {
  GatewayOptions gateway;
  gateway.name = "gw";
  gateway.tls_options.ca_file = certificates.ca_file();
  gateway.tls_options.cert_file = worker.cert_file;
  gateway.tls_options.key_file = worker.key_file;
  return gateway;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
}

size_t occurrences(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

// As Kubernetes mounts secrets: files are links through a link that is swapped.
struct MountedSecret {
  explicit MountedSecret(const TempDir& dir) : root(dir.path()) {
    std::filesystem::create_symlink("..data/tls.crt", root + "/tls.crt");
    std::filesystem::create_symlink("..data/tls.key", root + "/tls.key");
  }

  void mount(const IdentityFiles& identity, const std::string& version) const {
    std::filesystem::create_directory(root + "/" + version);
    std::filesystem::copy_file(identity.cert_file, root + "/" + version + "/tls.crt");
    std::filesystem::copy_file(identity.key_file, root + "/" + version + "/tls.key");
    std::filesystem::remove(root + "/..new");
    std::filesystem::create_symlink(version, root + "/..new");
    std::filesystem::rename(root + "/..new", root + "/..data");
  }

  std::string root;
};

}  // namespace

TEST_CASE_FIXTURE(CredentialStage, "a token that was renewed is told once, when it stays") {
  GatewayOptions gateway;
  gateway.name = "gw";
  gateway.tls = false;
  gateway.auth.token_file = dir.file("token");
  write_file(gateway.auth.token_file, "first");
  CredentialWatch watch = watch_of(gateway);
  CHECK_FALSE(watch.look(kNow));
  write_file(gateway.auth.token_file, "the-second");
  CHECK_FALSE(watch.look(kNow));
  CHECK(watch.look(kNow));
  CHECK_FALSE(watch.look(kNow));
  CHECK(reloads("ok") == 1);
}

TEST_CASE_FIXTURE(CredentialStage, "every file with credentials is looked at") {
  GatewayOptions gateway;
  gateway.name = "gw";
  gateway.tls = false;
  const std::vector<std::string*> settings = {&gateway.proxy.ca_file, &gateway.envoy.cert_file,
                                              &gateway.envoy.key_file, &gateway.envoy.ca_file,
                                              &gateway.challenge.token_file};
  int number = 0;
  for (std::string* setting : settings) {
    *setting = dir.file("file-" + std::to_string(number++));
    write_file(*setting, "first");
  }
  CredentialWatch watch = watch_of(gateway);
  for (const std::string* setting : settings) {
    CAPTURE(*setting);
    write_file(*setting, "renewed");
    CHECK_FALSE(watch.look(kNow));
    CHECK(watch.look(kNow));
  }
}

TEST_CASE_FIXTURE(CredentialStage, "files that still change are left alone") {
  GatewayOptions gateway;
  gateway.name = "gw";
  gateway.tls = false;
  gateway.auth.token_file = dir.file("token");
  write_file(gateway.auth.token_file, "first");
  CredentialWatch watch = watch_of(gateway);
  write_file(gateway.auth.token_file, "the-second");
  CHECK_FALSE(watch.look(kNow));
  write_file(gateway.auth.token_file, "the-third-token");
  CHECK_FALSE(watch.look(kNow));
  CHECK(watch.look(kNow));
  CHECK(reloads("ok") == 1);
}

TEST_CASE_FIXTURE(CredentialStage,
                  "a certificate behind a link that was swapped is told, and its end is known") {
  TestCertificates certificates;
  CertificateRequest request;
  request.common_name = "later";
  request.valid_to_days = 90;
  const IdentityFiles later = certificates.issue(request);
  const MountedSecret secret(dir);
  secret.mount(certificates.worker(), "..1");
  GatewayOptions gateway =
      gateway_with(certificates, {secret.root + "/tls.crt", secret.root + "/tls.key"});
  CredentialWatch watch = watch_of(gateway);
  const double first_expiry = expiry();
  CHECK(first_expiry > 0);
  CHECK_FALSE(watch.look(0));
  secret.mount(later, "..2");
  CHECK_FALSE(watch.look(0));
  CHECK(watch.look(0));
  CHECK(expiry() == doctest::Approx(first_expiry + 60.0 * kDay).epsilon(0.001));
}

TEST_CASE_FIXTURE(CredentialStage,
                  "credentials that cannot be used renew nothing, and the log says why") {
  TestCertificates certificates;
  const MountedSecret secret(dir);
  secret.mount(certificates.worker(), "..1");
  GatewayOptions gateway =
      gateway_with(certificates, {secret.root + "/tls.crt", secret.root + "/tls.key"});
  CredentialWatch watch = watch_of(gateway);
  secret.mount({certificates.worker().cert_file, certificates.gateway().key_file}, "..2");
  CHECK_FALSE(watch.look(0));
  CHECK_FALSE(watch.look(0));
  CHECK(reloads("failed") == 1);
  secret.mount(certificates.worker(), "..3");
  CHECK_FALSE(watch.look(0));
  CHECK(watch.look(0));
  CHECK(end_log().find("does not belong to the certificate") != std::string::npos);
}

TEST_CASE_FIXTURE(CredentialStage, "the end of a certificate is announced, once a day") {
  TestCertificates certificates;
  GatewayOptions gateway = gateway_with(certificates, certificates.worker());
  CredentialWatch watch = watch_of(gateway);
  const auto end = static_cast<int64_t>(expiry());
  CHECK_FALSE(watch.look(end - 8 * kDay));
  CHECK_FALSE(watch.look(end - 6 * kDay));
  CHECK_FALSE(watch.look(end - 6 * kDay + 60));
  CHECK_FALSE(watch.look(end - 5 * kDay));
  CHECK_FALSE(watch.look(end + 1));
  const std::string text = end_log();
  CHECK(occurrences(text, "expires soon") == 2);
  CHECK(occurrences(text, "\"hours_left\":144") == 1);
  CHECK(occurrences(text, "has expired") == 1);
}

TEST_CASE_FIXTURE(CredentialStage,
                  "a certificate for a short time is announced in the last fifth of it") {
  TestCertificates certificates;
  CertificateRequest request;
  request.common_name = "short";
  request.valid_to_days = 1;
  const IdentityFiles brief = certificates.issue(request);
  GatewayOptions gateway = gateway_with(certificates, brief);
  CredentialWatch watch = watch_of(gateway);
  const auto end = static_cast<int64_t>(expiry());
  CHECK_FALSE(watch.look(end - kDay));
  CHECK_FALSE(watch.look(end - kDay / 4));
  CHECK(occurrences(end_log(), "\"hours_left\":6") == 1);
}

TEST_CASE_FIXTURE(CredentialStage,
                  "a renewed key for challenges is told, and one that is none is not") {
  GatewayOptions gateway;
  gateway.name = "gw";
  gateway.challenge.key_file = dir.file("key");
  write_file(gateway.challenge.key_file, ptth::test::kRfcEd25519Private);
  CredentialWatch watch = watch_of(gateway);
  write_file(gateway.challenge.key_file, "no key");
  CHECK_FALSE(watch.look(kNow));
  CHECK_FALSE(watch.look(kNow));
  CHECK(reloads("failed") == 1);
  const auto pair = ptth::test::make_key_pair(ptth::test::KeyKind::kP256);
  write_file(gateway.challenge.key_file, pair.private_pem);
  CHECK_FALSE(watch.look(kNow));
  CHECK(watch.look(kNow));
  CHECK(end_log().find("challenge.key_file") != std::string::npos);
}

TEST_CASE_FIXTURE(CredentialStage, "a clock that is set back silences no warning") {
  TestCertificates certificates;
  GatewayOptions gateway = gateway_with(certificates, certificates.worker());
  CredentialWatch watch = watch_of(gateway);
  const auto end = static_cast<int64_t>(expiry());
  CHECK_FALSE(watch.look(end + 1000 * kDay));
  CHECK_FALSE(watch.look(end - 100 * kDay));
  CHECK_FALSE(watch.look(end - 2 * kDay));
  CHECK_FALSE(watch.look(end - 2 * kDay + 60));
  const std::string text = end_log();
  CHECK(occurrences(text, "has expired") == 1);
  CHECK(occurrences(text, "expires soon") == 1);
}

TEST_CASE_FIXTURE(CredentialStage,
                  "credentials that cannot be used are warned of before anything is dialled") {
  TestCertificates certificates;
  GatewayOptions gateway = gateway_with(certificates, certificates.expired());
  const CredentialWatch expired = watch_of(gateway);
  gateway.tls_options.cert_file = certificates.not_yet_valid().cert_file;
  gateway.tls_options.key_file = certificates.not_yet_valid().key_file;
  const CredentialWatch early = watch_of(gateway);
  const std::string text = end_log();
  CHECK(occurrences(text, "our credentials cannot be used") == 2);
  CHECK(occurrences(text, certificates.expired().cert_file + ": the certificate expired on") == 1);
  CHECK(occurrences(text, "the certificate is not valid before") == 1);
  CHECK(occurrences(text, "UTC: is it right?") == 1);
}
