#pragma once

// CurlRequest: a FetchRequest as an easy handle of libcurl, with every option that keeps it from
// doing more than it is asked for. For fetch.cpp.

#include "common/address.h"
#include "common/curl_library.h"
#include "common/fetch.h"
#include "common/http_uri.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <curl/curl.h>

namespace ptth {

class CurlRequest {
 public:
  // Called by libcurl, as CURLOPT_WRITEFUNCTION is, with self as the last argument.
  struct Sink {
    using Take = size_t (*)(char* data, size_t size, size_t count, void* self) noexcept;

    Take take_head_line;
    Take take_body;
    void* self;
  };

  explicit CurlRequest(const CurlLibrary& curl);
  ~CurlRequest();
  CurlRequest(const CurlRequest&) = delete;
  CurlRequest& operator=(const CurlRequest&) = delete;
  CurlRequest(CurlRequest&&) = delete;
  CurlRequest& operator=(CurlRequest&&) = delete;

  // The request outlives this object: its body is not copied. addresses: of the host to connect
  // to, the URL's or the proxy's, so that libcurl resolves nothing; empty if it is an address.
  [[nodiscard]] Result<void> set_up(const FetchRequest& request, const HttpUri& uri,
                                    const std::vector<Address>& addresses, const Sink& sink);

  [[nodiscard]] CURL* handle() const { return easy_; }

  // What libcurl says about a failure; may be empty.
  [[nodiscard]] std::string_view words() const { return words_.data(); }

 private:
  void set_rules(const FetchRequest& request, const HttpUri& uri);
  void set_addresses(const FetchRequest& request, const HttpUri& uri,
                     const std::vector<Address>& addresses);
  void set_trust(const FetchOptions& options);
  void set_proxy(const FetchProxy& proxy);
  [[nodiscard]] Result<void> set_fields(const FetchRequest& request);
  void add_line(curl_slist*& list, std::string line);
  void wipe(curl_slist* list) const;
  static CURLcode on_tls(CURL* easy, void* tls, void* self) noexcept;

  // An option that libcurl does not know is a protection that it would not give.
  template <class Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_.easy_setopt(easy_, option, value);
    if (code != CURLE_OK && failure_ == CURLE_OK) failure_ = code;
  }

  const CurlLibrary& curl_;
  CURL* easy_;
  curl_slist* fields_ = nullptr;
  curl_slist* proxy_fields_ = nullptr;
  curl_slist* addresses_ = nullptr;
  CURLcode failure_ = CURLE_OK;
  std::array<char, CURL_ERROR_SIZE> words_{};
};

}  // namespace ptth
