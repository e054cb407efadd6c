#include "common/curl_library.h"

#include <dlfcn.h>
#include <string>
#include <string_view>

namespace ptth {

namespace {

// The name under which it has kept its binary interface since 2006.
constexpr const char* kFile = "libcurl.so.4";

Error unusable(const std::string& why) {
  return {ErrorKind::kConfiguration, Side::kLocal,
          std::string("cannot use ") + kFile + ", which fetches tokens and documents: " + why};
}

template <class Function>
bool find(void* file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(file, name));
  return function != nullptr;
}

bool find_all(void* file, CurlLibrary& curl) {
  return find(file, "curl_easy_init", curl.easy_init) &&
         find(file, "curl_easy_cleanup", curl.easy_cleanup) &&
         find(file, "curl_easy_setopt", curl.easy_setopt) &&
         find(file, "curl_easy_getinfo", curl.easy_getinfo) &&
         find(file, "curl_easy_strerror", curl.easy_strerror) &&
         find(file, "curl_slist_append", curl.slist_append) &&
         find(file, "curl_slist_free_all", curl.slist_free_all) &&
         find(file, "curl_multi_init", curl.multi_init) &&
         find(file, "curl_multi_cleanup", curl.multi_cleanup) &&
         find(file, "curl_multi_setopt", curl.multi_setopt) &&
         find(file, "curl_multi_add_handle", curl.multi_add_handle) &&
         find(file, "curl_multi_remove_handle", curl.multi_remove_handle) &&
         find(file, "curl_multi_socket_action", curl.multi_socket_action) &&
         find(file, "curl_multi_info_read", curl.multi_info_read) &&
         find(file, "curl_multi_assign", curl.multi_assign);
}

Result<CurlLibrary> load() {
  // Never closed: it stays for the life of the process.
  void* file = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (file == nullptr) {
    const char* why = dlerror();  // NOLINT(concurrency-mt-unsafe): glibc keeps it per thread.
    return unusable(std::string(why != nullptr ? why : "not found") +
                    "; install it (Debian 12: libcurl4, Debian 13: libcurl4t64)");
  }
  CurlLibrary curl;
  decltype(&curl_global_init) global_init = nullptr;
  decltype(&curl_version_info) version_info = nullptr;
  if (!find_all(file, curl) || !find(file, "curl_global_init", global_init) ||
      !find(file, "curl_version_info", version_info)) {
    return unusable("it lacks functions");
  }
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return unusable("it does not start");
  const curl_version_info_data* version = version_info(CURLVERSION_NOW);
  // common/fetch.cpp reaches into its SSL_CTX.
  const std::string_view tls = version->ssl_version != nullptr ? version->ssl_version : "nothing";
  if (!tls.starts_with("OpenSSL/3")) {
    return unusable("it does TLS with " + std::string(tls) + ", not with OpenSSL 3");
  }
  constexpr unsigned kProtocolsByName = 0x075500;  // CURLOPT_PROTOCOLS_STR.
  if (version->version_num < kProtocolsByName) {
    return unusable("version " + std::string(version->version) + " is too old; 7.85 is needed");
  }
  return curl;
}

}  // namespace

const Result<CurlLibrary>& curl_library() {
  static const Result<CurlLibrary> library = load();
  return library;
}

}  // namespace ptth
