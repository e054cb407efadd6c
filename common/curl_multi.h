#pragma once

// CurlMulti: libcurl's transfers on the loop: its sockets are polled by libuv, its one timer is a
// Timer. For fetch.cpp; others know Fetcher.

#include "common/curl_library.h"
#include "common/loop.h"

#include <vector>

#include <curl/curl.h>
#include <uv.h>

namespace ptth {

class CurlMulti {
 public:
  class Transfer {
   public:
    // Terminal, from the loop. Removes and destroys nothing: that waits for the end of the turn.
    virtual void on_transfer_done(CURLcode code) = 0;

   protected:
    ~Transfer() = default;
  };

  CurlMulti(Loop& loop, const CurlLibrary& curl);
  // All transfers have been removed.
  ~CurlMulti();
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;
  CurlMulti(CurlMulti&&) = delete;
  CurlMulti& operator=(CurlMulti&&) = delete;

  // Starts the transfer of a handle that is set up. False: libcurl has no memory for it.
  [[nodiscard]] bool add(CURL* easy, Transfer& transfer);
  void remove(CURL* easy);

  [[nodiscard]] bool empty() const { return transfers_ == 0; }

 private:
  struct Poll;

  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* self,
                       void* socket_data) noexcept;
  static int on_timeout(CURLM* multi, long timeout_ms, void* self) noexcept;
  static void on_poll(uv_poll_t* handle, int status, int events) noexcept;

  void watch(curl_socket_t socket, int what, Poll* poll);
  void close(Poll* poll);
  void act(curl_socket_t socket, int events);

  const CurlLibrary& curl_;
  Loop& loop_;
  CURLM* multi_;
  size_t transfers_ = 0;
  std::vector<Poll*> polls_;  // Each is freed by libuv's close callback.
  Timer timer_;
};

}  // namespace ptth
