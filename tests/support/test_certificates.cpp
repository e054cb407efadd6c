#include "tests/support/test_certificates.h"

#include "common/c_handle.h"
#include "common/check.h"
#include "common/spki_pin.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace ptth::test {

namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeWith<X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;
using AddressPtr = std::unique_ptr<ASN1_OCTET_STRING, FreeWith<ASN1_OCTET_STRING_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;
using TimePtr = std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>>;
using Pkcs12Ptr = std::unique_ptr<PKCS12, FreeWith<PKCS12_free>>;
using FilePtr = std::unique_ptr<std::FILE, FreeWith<std::fclose>>;

KeyPtr make_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  CHECK_INVARIANT(key != nullptr);
  return key;
}

void set_common_name(X509_NAME* name, const std::string& text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.c_str());
  CHECK_INVARIANT(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, -1, -1, 0) == 1);
}

void add_extension(X509* certificate, X509* issuer, int type, const std::string& value) {
  X509V3_CTX names{};
  X509V3_set_ctx(&names, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &names, type, value.c_str()));
  CHECK_INVARIANT(extension != nullptr);
  CHECK_INVARIANT(X509_add_ext(certificate, extension.get(), -1) == 1);
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) {
    const AddressPtr address(a2i_IPADDRESS(name.c_str()));
    all += (all.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
  }
  return all;
}

// Everything but extensions and signature.
CertificatePtr make_certificate(const CertificateRequest& request, EVP_PKEY* key) {
  CertificatePtr certificate(X509_new());
  CHECK_INVARIANT(certificate != nullptr);
  CHECK_INVARIANT(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  uint64_t serial = 0;
  CHECK_INVARIANT(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1U);
  X509_time_adj_ex(X509_getm_notBefore(certificate.get()), request.valid_from_days, 0, nullptr);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), request.valid_to_days, 0, nullptr);
  set_common_name(X509_get_subject_name(certificate.get()), request.common_name);
  CHECK_INVARIANT(X509_set_pubkey(certificate.get(), key) == 1);
  return certificate;
}

void sign(X509* certificate, EVP_PKEY* key) {
  CHECK_INVARIANT(X509_sign(certificate, key, EVP_sha256()) > 0);
}

FilePtr open_for_writing(const std::string& path) {
  FilePtr file(std::fopen(path.c_str(), "we"));
  CHECK_INVARIANT(file != nullptr);
  return file;
}

void write_certificate(const std::string& path, X509* certificate) {
  const FilePtr file = open_for_writing(path);
  CHECK_INVARIANT(PEM_write_X509(file.get(), certificate) == 1);
}

void write_key(const std::string& path, EVP_PKEY* key) {
  const FilePtr file = open_for_writing(path);
  CHECK_INVARIANT(PEM_write_PrivateKey(file.get(), key, nullptr, nullptr, 0, nullptr, nullptr) ==
                  1);
}

CertificatePtr read_certificate(const std::string& path) {
  const FilePtr file(std::fopen(path.c_str(), "re"));
  CertificatePtr certificate(PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
  CHECK_INVARIANT(certificate != nullptr);
  return certificate;
}

}  // namespace

class CertificateAuthority {
 public:
  explicit CertificateAuthority(const std::string& name, int valid_to_days = 30)
      : key_(make_key()),
        certificate_(make_certificate({name, {}, -1, valid_to_days}, key_.get())) {
    X509* self = certificate_.get();
    X509_set_issuer_name(self, X509_get_subject_name(self));
    add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(self, self, NID_subject_key_identifier, "hash");
    sign(self, key_.get());
  }

  void issue(const CertificateRequest& request, const IdentityFiles& files) const {
    const KeyPtr own_key = make_key();
    const CertificatePtr issued = make_certificate(request, own_key.get());
    X509* own = issued.get();
    X509_set_issuer_name(own, X509_get_subject_name(certificate_.get()));
    add_extension(own, certificate_.get(), NID_basic_constraints, "critical,CA:FALSE");
    add_extension(own, certificate_.get(), NID_key_usage, "critical,digitalSignature");
    add_extension(own, certificate_.get(), NID_ext_key_usage, "serverAuth,clientAuth");
    add_extension(own, certificate_.get(), NID_authority_key_identifier, "keyid:always");
    if (!request.names.empty()) {
      add_extension(own, certificate_.get(), NID_subject_alt_name,
                    alternative_names(request.names));
    }
    sign(own, key_.get());
    write_certificate(files.cert_file, own);
    write_key(files.key_file, own_key.get());
  }

  void write_revocations(const std::string& path, const std::vector<std::string>& cert_files,
                         int valid_to_days) const {
    const CrlPtr list(X509_CRL_new());
    X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get()));
    const TimePtr from(X509_gmtime_adj(nullptr, -2L * 86'400));
    const TimePtr to(X509_gmtime_adj(nullptr, valid_to_days * 86'400L));
    X509_CRL_set1_lastUpdate(list.get(), from.get());
    X509_CRL_set1_nextUpdate(list.get(), to.get());
    for (const std::string& file : cert_files) {
      const CertificatePtr revoked = read_certificate(file);
      X509_REVOKED* entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked.get()));
      X509_REVOKED_set_revocationDate(entry, from.get());
      X509_CRL_add0_revoked(list.get(), entry);
    }
    X509_CRL_sort(list.get());
    CHECK_INVARIANT(X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) > 0);
    const FilePtr file = open_for_writing(path);
    CHECK_INVARIANT(PEM_write_X509_CRL(file.get(), list.get()) == 1);
  }

  void write(const std::string& path) const { write_certificate(path, certificate_.get()); }

 private:
  KeyPtr key_;
  CertificatePtr certificate_;
};

namespace {

CertificateRequest gateway_request(int valid_to_days) {
  return {"gw.test", {"gw.test", "localhost", "127.0.0.1", "::1"}, -1, valid_to_days};
}

}  // namespace

TestCertificates::TestCertificates()
    : authority_(std::make_unique<CertificateAuthority>("ptth test CA")),
      other_authority_(std::make_unique<CertificateAuthority>("another CA")) {
  const std::vector<std::string> gateway_names = gateway_request(30).names;
  authority_->write(ca_file());
  other_authority_->write(other_ca_file());
  authority_->issue(gateway_request(30), gateway());
  authority_->issue({"worker-1", {}}, worker());
  authority_->issue({"gw.test", gateway_names, -30, -1}, expired());
  authority_->issue({"gw.test", gateway_names, 1, 30}, not_yet_valid());
  authority_->issue({"other.test", {"other.test", "192.0.2.1"}}, wrong_name());
  other_authority_->issue({"gw.test", gateway_names}, gateway_of_other_ca());
  other_authority_->issue({"worker-1", {}}, worker_of_other_ca());
}

TestCertificates::~TestCertificates() = default;

IdentityFiles TestCertificates::issue(const CertificateRequest& request) {
  IdentityFiles made = files(request.common_name);
  authority_->issue(request, made);
  return made;
}

std::string TestCertificates::ca_pin() const {
  return to_string(spki_pin_of(read_certificate(ca_file()).get()));
}

std::string TestCertificates::revoke(const std::vector<std::string>& cert_files,
                                     int valid_to_days) const {
  std::string path = dir_.file("revoked.crl");
  authority_->write_revocations(path, cert_files, valid_to_days);
  return path;
}

std::string TestCertificates::to_pkcs12(const IdentityFiles& identity,
                                        const std::string& password) const {
  std::string path = identity.cert_file + ".p12";
  const CertificatePtr certificate = read_certificate(identity.cert_file);
  const FilePtr key_file(std::fopen(identity.key_file.c_str(), "re"));
  const KeyPtr key(PEM_read_PrivateKey(key_file.get(), nullptr, nullptr, nullptr));
  const Pkcs12Ptr bag(PKCS12_create(password.c_str(), "test", key.get(), certificate.get(), nullptr,
                                    0, 0, 0, 0, 0));
  CHECK_INVARIANT(bag != nullptr);
  const FilePtr file = open_for_writing(path);
  CHECK_INVARIANT(i2d_PKCS12_fp(file.get(), bag.get()) == 1);
  return path;
}

IdentityFiles TestCertificates::files(const std::string& name) const {
  return {dir_.file(name + ".crt"), dir_.file(name + ".key")};
}

Result<void> make_certificate_files(const std::string& directory) {
  namespace fs = std::filesystem;
  constexpr int kYear = 365;
  const auto file = [&](const char* name) { return directory + "/" + name; };
  const IdentityFiles gateway{file("gateway.crt"), file("gateway.key")};
  const IdentityFiles worker{file("worker.crt"), file("worker.key")};
  const std::string ca_file = file("ca.crt");
  bool complete = true;
  for (const std::string& path :
       {ca_file, gateway.cert_file, gateway.key_file, worker.cert_file, worker.key_file}) {
    complete = complete && fs::exists(path);
  }
  if (complete) return {};
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (failed || ::access(directory.c_str(), W_OK) != 0) {
    return Error{ErrorKind::kConfiguration, Side::kLocal,
                 "cannot make certificates in " + directory};
  }
  const CertificateAuthority authority("ptth development CA", kYear);
  authority.issue(gateway_request(kYear), gateway);
  authority.issue({"worker-1", {"worker-1"}, -1, kYear}, worker);
  authority.write(ca_file);
  for (const std::string& key : {gateway.key_file, worker.key_file})
    fs::permissions(key, fs::perms::owner_read | fs::perms::owner_write, failed);
  return {};
}

}  // namespace ptth::test
