#pragma once

// libcurl, loaded when it is first needed and not before: with all that it depends on it costs a
// process four megabytes, and an agent that fetches nothing shall not pay them.

#include "common/error.h"

#include <curl/curl.h>

namespace ptth {

struct CurlLibrary {
  decltype(&curl_easy_init) easy_init = nullptr;
  decltype(&curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&curl_easy_setopt) easy_setopt = nullptr;
  decltype(&curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&curl_easy_strerror) easy_strerror = nullptr;
  decltype(&curl_slist_append) slist_append = nullptr;
  decltype(&curl_slist_free_all) slist_free_all = nullptr;
  decltype(&curl_multi_init) multi_init = nullptr;
  decltype(&curl_multi_cleanup) multi_cleanup = nullptr;
  decltype(&curl_multi_setopt) multi_setopt = nullptr;
  decltype(&curl_multi_add_handle) multi_add_handle = nullptr;
  decltype(&curl_multi_remove_handle) multi_remove_handle = nullptr;
  decltype(&curl_multi_socket_action) multi_socket_action = nullptr;
  decltype(&curl_multi_info_read) multi_info_read = nullptr;
  decltype(&curl_multi_assign) multi_assign = nullptr;
};

// Loaded and initialised by the first call, for the rest of the process. kConfiguration: there is
// none, or one that does not use our OpenSSL.
[[nodiscard]] const Result<CurlLibrary>& curl_library();

}  // namespace ptth
