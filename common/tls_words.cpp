#include "common/tls_words.h"

#include "common/c_handle.h"

#include <arpa/inet.h>
#include <array>
#include <ctime>
#include <memory>
#include <vector>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace ptth {

namespace {

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;

constexpr size_t kNamesShownMax = 8;
constexpr size_t kNameBytesShownMax = 100;

// Strangers write these: as much as helps, and no more.
std::string shortened(std::string name) {
  if (name.size() > kNameBytesShownMax) name = name.substr(0, kNameBytesShownMax) + "...";
  return name;
}

std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, string);
  if (size < 0) return {};
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

std::string name_text(const X509_NAME* name, int field) {
  const int index = X509_NAME_get_index_by_NID(name, field, -1);
  if (index < 0) return {};
  return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
}

std::string text_of(const std::tm& time) {
  std::array<char, 64> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &time);
  return {text.data(), size};
}

// Common name, else organisation, in quotes.
std::string quoted(const X509_NAME* name) {
  std::string text = name_text(name, NID_commonName);
  if (text.empty()) text = name_text(name, NID_organizationName);
  return text.empty() ? "without a name" : "\"" + shortened(text) + "\"";
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int size = ASN1_STRING_length(address);
  const int family = size == 4 ? AF_INET : AF_INET6;
  if (size != 4 && size != 16) return "an address of a wrong length";
  inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size());
  return text.data();
}

// The names that a certificate is for, as "a.example, 127.0.0.1".
std::string carried_names(const X509* certificate) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string all;
  size_t shown = 0;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    std::string text;
    if (name->type == GEN_DNS) text = shortened(text_of(name->d.dNSName));
    if (name->type == GEN_IPADD) text = address_text(name->d.iPAddress);
    if (text.empty()) continue;
    if (++shown > kNamesShownMax) return all + ", ...";
    all += (all.empty() ? "" : ", ") + text;
  }
  return all;
}

std::string name_problem(const X509* certificate, const std::string& expected) {
  const std::string names = carried_names(certificate);
  if (names.empty()) {
    return "its certificate carries no DNS name or address (subjectAltName), so it is not for " +
           expected;
  }
  return "its certificate is for " + names + ", not for " + expected;
}

}  // namespace

OpenSslError take_openssl_error() {
  OpenSslError error;
  const char* data = nullptr;
  int flags = 0;
  const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags);
  if (code == 0) {
    error.text = "no error was reported";
    return error;
  }
  error.library = ERR_GET_LIB(code);
  error.reason = ERR_GET_REASON(code);
  const char* reason = ERR_reason_error_string(code);
  error.text = reason != nullptr ? reason : "error " + std::to_string(code);
  if ((flags & ERR_TXT_STRING) != 0 && data != nullptr && *data != '\0') {
    error.text += std::string(" (") + data + ")";
  }
  ERR_clear_error();
  return error;
}

std::string time_text(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable time";
  return text_of(parts);
}

std::string clock_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return "; by the clock of this machine it is " + text_of(parts);
}

std::string common_name(const X509* certificate) {
  return name_text(X509_get_subject_name(certificate), NID_commonName);
}

std::string verification_problem(X509_STORE_CTX* store, const std::string& expected_name) {
  const int code = X509_STORE_CTX_get_error(store);
  const X509* certificate = X509_STORE_CTX_get_current_cert(store);
  const std::string other = X509_verify_cert_error_string(code);
  if (certificate == nullptr) return "its certificate is not accepted: " + other;
  const bool is_own = X509_STORE_CTX_get_error_depth(store) == 0;
  const std::string subject =
      is_own ? "its certificate"
             : "the certificate " + quoted(X509_get_subject_name(certificate)) + " in its chain";
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return subject + " expired on " + time_text(X509_get0_notAfter(certificate)) + clock_text();
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return subject + " is not valid before " + time_text(X509_get0_notBefore(certificate)) +
             clock_text() + ": is it right?";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return name_problem(certificate, expected_name);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return subject + " was issued by an unknown CA, " + quoted(X509_get_issuer_name(certificate));
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return subject + " is self-signed, and it is not among the trusted ones";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "its chain ends at an unknown CA, " + quoted(X509_get_subject_name(certificate));
    case X509_V_ERR_CERT_REVOKED:
      return subject + " has been revoked";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      return "crl_file has no list of " + quoted(X509_get_issuer_name(certificate)) +
             ", which issued " + subject;
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return "the list of revoked certificates of " + quoted(X509_get_issuer_name(certificate)) +
             " in crl_file is out of date: fetch a newer one" + clock_text();
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return "the list of revoked certificates of " + quoted(X509_get_issuer_name(certificate)) +
             " in crl_file is not valid yet" + clock_text() + ": is it right?";
    case X509_V_ERR_INVALID_PURPOSE:
      return subject + " is not meant for this use (extended key usage)";
    default:
      return subject + " is not accepted: " + other;
  }
}

int alert_number(const OpenSslError& error) {
  if (error.library != ERR_LIB_SSL || error.reason < SSL_AD_REASON_OFFSET) return -1;
  return error.reason - SSL_AD_REASON_OFFSET;
}

std::string refusal_text(int alert) {
  const std::string name = std::string(" (") + SSL_alert_desc_string_long(alert) + ")";
  switch (alert) {
    case TLS1_AD_UNKNOWN_CA:
      return "it does not know the CA that issued it, or the chain is not whole" + name;
    case SSL3_AD_CERTIFICATE_EXPIRED:
      return "it has expired, or is not valid yet, by the clock over there" + name;
    case SSL3_AD_CERTIFICATE_REVOKED:
      return "it has been revoked" + name;
    case SSL3_AD_UNSUPPORTED_CERTIFICATE:
      return "it is of a kind, or for a use, that is not allowed" + name;
    case TLS1_AD_ACCESS_DENIED:
      return "it is in order, and its holder is not let in" + name;
    default:
      return "no reason is given" + name;
  }
}

bool refuses_our_certificate(int alert) {
  switch (alert) {
    case SSL3_AD_BAD_CERTIFICATE:
    case SSL3_AD_UNSUPPORTED_CERTIFICATE:
    case SSL3_AD_CERTIFICATE_REVOKED:
    case SSL3_AD_CERTIFICATE_EXPIRED:
    case SSL3_AD_CERTIFICATE_UNKNOWN:
    case TLS1_AD_UNKNOWN_CA:
    case TLS1_AD_ACCESS_DENIED:
    case TLS13_AD_CERTIFICATE_REQUIRED:
      return true;
    default:
      return false;
  }
}

}  // namespace ptth
