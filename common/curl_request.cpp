#include "common/curl_request.h"

#include "common/base64.h"
#include "common/http_rules.h"

#include <algorithm>
#include <cstdlib>
#include <unistd.h>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace ptth {

namespace {

Error wrong(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail)};
}

// Where the system keeps what it trusts, by the rules of OpenSSL.
const char* system_trust(const char* variable, const char* otherwise) {
  const char* path = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nobody changes it.
  return path == nullptr || *path == '\0' ? otherwise : path;
}

const char* system_ca_file() {
  const char* path = system_trust(X509_get_default_cert_file_env(), X509_get_default_cert_file());
  // libcurl fails when it is missing, and there may be a directory instead.
  return access(path, R_OK) == 0 ? path : nullptr;
}

const char* system_ca_directory() {
  return system_trust(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
}

}  // namespace

CurlRequest::CurlRequest(const CurlLibrary& curl) : curl_(curl), easy_(curl.easy_init()) {
  CHECK_INVARIANT(easy_ != nullptr);
}

CurlRequest::~CurlRequest() {
  curl_.easy_cleanup(easy_);
  for (curl_slist* list : {fields_, proxy_fields_, addresses_})
    wipe(list);
}

void CurlRequest::wipe(curl_slist* list) const {
  for (curl_slist* line = list; line != nullptr; line = line->next)
    OPENSSL_cleanse(line->data, std::string_view(line->data).size());
  curl_.slist_free_all(list);
}

Result<void> CurlRequest::set_up(const FetchRequest& request, const HttpUri& uri,
                                 const std::vector<Address>& addresses, const Sink& sink) {
  if (Result<void> valid = set_fields(request); !valid) return valid;
  set_rules(request, uri);
  set_addresses(request, uri, addresses);
  set_trust(request.options);
  set_proxy(request.options.proxy);
  set(CURLOPT_HEADERFUNCTION, sink.take_head_line);
  set(CURLOPT_HEADERDATA, sink.self);
  set(CURLOPT_WRITEFUNCTION, sink.take_body);
  set(CURLOPT_WRITEDATA, sink.self);
  if (failure_ == CURLE_OK) return {};
  return wrong(std::string("libcurl cannot be used as it must be: ") +
               curl_.easy_strerror(failure_));
}

void CurlRequest::set_rules(const FetchRequest& request, const HttpUri& uri) {
  const FetchOptions& options = request.options;
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, words_.data());
  set(CURLOPT_URL, to_string(uri).c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_PROTOCOLS_STR, options.insecure_cleartext ? "http,https" : "https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_USERAGENT, "ptth-agent");
  if (request.method == FetchRequest::Method::kGet) return;
  const std::string_view body = request.body.reveal();
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  // Not copied. Without any bytes libcurl would read standard input.
  set(CURLOPT_POSTFIELDS, body.empty() ? "" : body.data());
}

void CurlRequest::set_addresses(const FetchRequest& request, const HttpUri& uri,
                                const std::vector<Address>& addresses) {
  // Should libcurl resolve a name all the same, it does not wait for that when it is cancelled.
  set(CURLOPT_QUICK_EXIT, 1L);
  if (addresses.empty()) return;
  const FetchProxy& proxy = request.options.proxy;
  const bool direct = proxy.host.empty();
  std::string entry = direct ? uri.authority.host : proxy.host;
  entry += ":" + std::to_string(direct ? uri.port() : proxy.port) + ":";
  for (const Address& address : addresses) {
    const std::string text = address.text();
    entry.append(text, 0, text.rfind(':')).push_back(',');
  }
  entry.pop_back();
  add_line(addresses_, std::move(entry));
  set(CURLOPT_RESOLVE, addresses_);
}

void CurlRequest::set_trust(const FetchOptions& options) {
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  set(CURLOPT_SSL_CTX_FUNCTION, &CurlRequest::on_tls);
  const bool own = !options.ca_file.empty();
  set(CURLOPT_CAINFO, own ? options.ca_file.c_str() : system_ca_file());
  set(CURLOPT_CAPATH, own ? nullptr : system_ca_directory());
  if (options.cert_file.empty()) return;
  set(CURLOPT_SSLCERT, options.cert_file.c_str());
  set(CURLOPT_SSLKEY, (options.key_file.empty() ? options.cert_file : options.key_file).c_str());
}

void CurlRequest::set_proxy(const FetchProxy& proxy) {
  set(CURLOPT_NOPROXY, "");
  if (proxy.host.empty()) {
    set(CURLOPT_PROXY, "");  // Not that of the environment.
    return;
  }
  const bool is_ipv6 = proxy.host.find(':') != std::string::npos;
  const std::string url = (proxy.tls ? "https://" : "http://") +
                          (is_ipv6 ? "[" + proxy.host + "]" : proxy.host) + ":" +
                          std::to_string(proxy.port);
  set(CURLOPT_PROXY, url.c_str());
  set(CURLOPT_HTTPPROXYTUNNEL, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
  set(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
  set(CURLOPT_PROXY_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  const bool own = !proxy.ca_file.empty();
  set(CURLOPT_PROXY_CAINFO, own ? proxy.ca_file.c_str() : system_ca_file());
  set(CURLOPT_PROXY_CAPATH, own ? nullptr : system_ca_directory());
  if (proxy.credentials.empty()) return;
  // Not by CURLOPT_PROXYUSERNAME: some versions decode a "%41" in it, others do not.
  std::string line = "Proxy-Authorization: Basic ";
  append_base64(line, proxy.credentials.reveal());
  add_line(proxy_fields_, std::move(line));
  set(CURLOPT_PROXYHEADER, proxy_fields_);
}

Result<void> CurlRequest::set_fields(const FetchRequest& request) {
  for (const Field field : request.fields) {
    const bool valid = is_lower_case_token(field.name) && is_field_value(field.value);
    if (!valid || field.value.empty()) return wrong("a field of the request is malformed");
    add_line(fields_, std::string(field.name) + ": " + std::string(field.value));
  }
  add_line(fields_, "Expect:");  // No waiting for 100.
  const std::string_view credential = request.authorization.reveal();
  if (!credential.empty()) {
    if (!is_field_value(credential)) return wrong("the credential cannot be sent in a field");
    constexpr std::string_view kName = "Authorization: ";
    std::string line;
    line.reserve(kName.size() + credential.size());
    add_line(fields_, std::move(line.append(kName).append(credential)));
  }
  set(CURLOPT_HEADEROPT, long{CURLHEADER_SEPARATE});  // None of them is for the proxy.
  set(CURLOPT_HTTPHEADER, fields_);
  return {};
}

// Wipes the line, which may be a secret; so does the destructor with libcurl's copy.
void CurlRequest::add_line(curl_slist*& list, std::string line) {
  list = curl_.slist_append(list, line.c_str());
  CHECK_INVARIANT(list != nullptr);
  OPENSSL_cleanse(line.data(), line.size());
}

// SSLKEYLOGFILE is not for us; libcurl would write there what decrypts the connection.
CURLcode CurlRequest::on_tls(CURL* /*easy*/, void* tls, void* /*self*/) noexcept {
  SSL_CTX_set_keylog_callback(static_cast<SSL_CTX*>(tls), nullptr);
  return CURLE_OK;
}

}  // namespace ptth
