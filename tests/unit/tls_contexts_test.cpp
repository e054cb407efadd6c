#include "common/tls_contexts.h"

#include "tests/support/test_certificates.h"

#include <chrono>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

using ptth::TlsContexts;
using ptth::TlsOptions;
using ptth::test::TestCertificates;

namespace {

TlsOptions options_for(const TestCertificates& certificates) {
  TlsOptions options;
  options.ca_file = certificates.ca_file();
  options.cert_file = certificates.worker().cert_file;
  options.key_file = certificates.worker().key_file;
  return options;
}

}  // namespace

TEST_CASE("files that have just changed are read at every dial") {
  const TestCertificates certificates;
  TlsContexts contexts;
  const TlsOptions options = options_for(certificates);
  const auto first = contexts.for_client(options);
  const auto second = contexts.for_client(options);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(first.value() != second.value());
}

TEST_CASE("files that have settled are read once, for each set of options") {
  // The system's roots are older than this test.
  TlsContexts contexts;
  const auto first = contexts.for_client({});
  const auto second = contexts.for_client({});
  REQUIRE(first.ok());
  CHECK(first.value() == second.value());
  TlsOptions other;
  other.min_version = ptth::TlsVersion::kTls12;
  CHECK(contexts.for_client(other).value() != first.value());
  CHECK(contexts.for_client({}).value() == first.value());
}

TEST_CASE("a file that was replaced is read again, and the old context stays with its users") {
  const TestCertificates certificates;
  TlsContexts contexts{std::chrono::nanoseconds(0)};
  TlsOptions options = options_for(certificates);
  options.ca_file = certificates.dir().file("mounted.crt");
  const auto mount = [&](const std::string& file) {
    const std::string fresh = options.ca_file + ".new";
    std::filesystem::copy_file(file, fresh);
    std::filesystem::rename(fresh, options.ca_file);
  };
  mount(certificates.ca_file());
  const auto first = contexts.for_client(options);
  REQUIRE(first.ok());
  CHECK(contexts.for_client(options).value() == first.value());
  mount(certificates.other_ca_file());
  const auto renewed = contexts.for_client(options);
  REQUIRE(renewed.ok());
  CHECK(renewed.value() != first.value());
  CHECK(first.value().use_count() == 1);
  CHECK(contexts.for_client(options).value() == renewed.value());
}

TEST_CASE("an error is not kept") {
  const TestCertificates certificates;
  TlsContexts contexts;
  TlsOptions options = options_for(certificates);
  options.cert_file = certificates.dir().file("mounted.crt");
  CHECK_FALSE(contexts.for_client(options).ok());
  std::filesystem::copy_file(certificates.worker().cert_file, options.cert_file);
  CHECK(contexts.for_client(options).ok());
}
