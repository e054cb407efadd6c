#include "agent/version.h"

#include "common/c_handle.h"

#include <memory>

#include <CLI/Version.hpp>
#include <nghttp2/nghttp2.h>
#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <uv.h>

namespace ptth {

namespace {

// Key exchange groups that people ask about, strongest first. OpenSSL before 3.5 cannot list its
// own, so each is tried.
constexpr const char* kGroups[] = {
    "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "X25519", "P-256", "X448", "P-384",
    "P-521"};

nlohmann::ordered_json tls_groups() {
  auto groups = nlohmann::ordered_json::array();
  const std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
  if (!context) return groups;
  for (const char* group : kGroups) {
    if (SSL_CTX_set1_groups_list(context.get(), group) == 1) groups.push_back(group);
  }
  ERR_clear_error();
  return groups;
}

}  // namespace

std::string version_text() {
  return std::string("ptth-agent ") + kVersion + " (commit " + kCommit + ")";
}

std::string version_json() {
  const std::string json_version = std::to_string(NLOHMANN_JSON_VERSION_MAJOR) + "." +
                                   std::to_string(NLOHMANN_JSON_VERSION_MINOR) + "." +
                                   std::to_string(NLOHMANN_JSON_VERSION_PATCH);
  const nlohmann::ordered_json version = {{"name", "ptth-agent"},
                                          {"version", kVersion},
                                          {"commit", kCommit},
                                          {"libraries",
                                           {{"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
                                            {"libuv", uv_version_string()},
                                            {"nghttp2", nghttp2_version(0)->version_str},
                                            {"nlohmann_json", json_version},
                                            {"cli11", CLI11_VERSION}}},
                                          {"tls_groups", tls_groups()}};
  return version.dump(2);
}

}  // namespace ptth
