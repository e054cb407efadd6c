#pragma once

// Certificates for tests, made anew for each of them: two CAs and what they issue, right and wrong.

#include "common/error.h"
#include "tests/support/temp_dir.h"

#include <memory>
#include <string>
#include <vector>

namespace ptth::test {

struct IdentityFiles {
  std::string cert_file;
  std::string key_file;
};

// What one certificate says.
struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> names;  // subjectAltName: DNS names and IP addresses.
  int valid_from_days = -1;        // From now.
  int valid_to_days = 30;
};

class CertificateAuthority;

class TestCertificates {
 public:
  // In a directory of their own, which lives as long as this object.
  TestCertificates();
  ~TestCertificates();
  TestCertificates(const TestCertificates&) = delete;
  TestCertificates& operator=(const TestCertificates&) = delete;
  TestCertificates(TestCertificates&&) = delete;
  TestCertificates& operator=(TestCertificates&&) = delete;

  [[nodiscard]] const TempDir& dir() const { return dir_; }

  // The CA "ptth test CA", which issued everything unless the name says otherwise.
  [[nodiscard]] std::string ca_file() const { return dir_.file("ca.crt"); }

  // "another CA".
  [[nodiscard]] std::string other_ca_file() const { return dir_.file("other_ca.crt"); }

  // For gw.test, localhost, 127.0.0.1 and ::1; so are the expired one and the one that is not valid
  // before tomorrow.
  [[nodiscard]] IdentityFiles gateway() const { return files("gateway"); }

  [[nodiscard]] IdentityFiles expired() const { return files("expired"); }

  [[nodiscard]] IdentityFiles not_yet_valid() const { return files("not_yet_valid"); }

  // For other.test and 192.0.2.1.
  [[nodiscard]] IdentityFiles wrong_name() const { return files("wrong_name"); }

  // Common name "worker-1".
  [[nodiscard]] IdentityFiles worker() const { return files("worker"); }

  // gw.test, issued by the other CA.
  [[nodiscard]] IdentityFiles gateway_of_other_ca() const { return files("other_gateway"); }

  [[nodiscard]] IdentityFiles worker_of_other_ca() const { return files("other_worker"); }

  // One more, issued by the CA; its files are named after the common name.
  IdentityFiles issue(const CertificateRequest& request);

  // Of the CA's key.
  [[nodiscard]] std::string ca_pin() const;

  // A file with the CA's list of revoked certificates, those in these files; valid from now on for
  // so many days.
  [[nodiscard]] std::string revoke(const std::vector<std::string>& cert_files,
                                   int valid_to_days = 30) const;
  // The identity as PKCS #12, in a file.
  [[nodiscard]] std::string to_pkcs12(const IdentityFiles& identity,
                                      const std::string& password) const;

 private:
  [[nodiscard]] IdentityFiles files(const std::string& name) const;

  TempDir dir_;
  std::unique_ptr<CertificateAuthority> authority_;
  std::unique_ptr<CertificateAuthority> other_authority_;
};

// For programs that people try: ca.crt, and gateway and worker as above, each .crt and .key, valid
// for a year. Makes the directory; leaves it as it is when all of them are there.
[[nodiscard]] Result<void> make_certificate_files(const std::string& directory);

}  // namespace ptth::test
