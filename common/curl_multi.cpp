#include "common/curl_multi.h"

#include "common/check.h"

#include <algorithm>
#include <memory>

namespace ptth {

// Lives on the heap by itself, because libuv uses it until the close callback.
struct CurlMulti::Poll {
  uv_poll_t handle{};
  CurlMulti* owner = nullptr;  // Null once it is being closed.
  curl_socket_t socket = CURL_SOCKET_BAD;
};

CurlMulti::CurlMulti(Loop& loop, const CurlLibrary& curl)
    : curl_(curl),
      loop_(loop),
      multi_(curl.multi_init()),
      timer_(loop, [this] { act(CURL_SOCKET_TIMEOUT, 0); }) {
  CHECK_INVARIANT(multi_ != nullptr);
  curl_.multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::on_socket);
  curl_.multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_.multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::on_timeout);
  curl_.multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

CurlMulti::~CurlMulti() {
  CHECK_INVARIANT(transfers_ == 0);
  curl_.multi_cleanup(multi_);
  while (!polls_.empty())
    close(polls_.back());
}

bool CurlMulti::add(CURL* easy, Transfer& transfer) {
  curl_.easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  if (curl_.multi_add_handle(multi_, easy) != CURLM_OK) return false;
  ++transfers_;
  return true;
}

void CurlMulti::remove(CURL* easy) {
  curl_.multi_remove_handle(multi_, easy);
  --transfers_;
}

int CurlMulti::on_socket(CURL*, curl_socket_t socket, int what, void* self,
                         void* socket_data) noexcept {
  auto& multi = *static_cast<CurlMulti*>(self);
  auto* poll = static_cast<Poll*>(socket_data);
  if (what != CURL_POLL_REMOVE) {
    multi.watch(socket, what, poll);
  } else if (poll != nullptr) {
    multi.close(poll);
  }
  return 0;
}

void CurlMulti::watch(curl_socket_t socket, int what, Poll* poll) {
  if (poll == nullptr) {
    auto made = std::make_unique<Poll>();
    CHECK_INVARIANT(uv_poll_init_socket(loop_.uv(), &made->handle, socket) == 0);
    made->owner = this;
    made->socket = socket;
    made->handle.data = made.get();
    poll = made.release();
    polls_.push_back(poll);
    curl_.multi_assign(multi_, socket, poll);
  }
  int events = 0;
  if ((what & CURL_POLL_IN) != 0) events |= UV_READABLE;
  if ((what & CURL_POLL_OUT) != 0) events |= UV_WRITABLE;
  uv_poll_start(&poll->handle, events, &CurlMulti::on_poll);
}

void CurlMulti::close(Poll* poll) {
  std::erase(polls_, poll);
  poll->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll->handle), [](uv_handle_t* handle) noexcept {
    const std::unique_ptr<Poll> closed(static_cast<Poll*>(handle->data));
  });
}

int CurlMulti::on_timeout(CURLM*, long timeout_ms, void* self) noexcept {
  Timer& timer = static_cast<CurlMulti*>(self)->timer_;
  if (timeout_ms < 0) {
    timer.stop();
  } else {
    // Not 0: a timer that is due again while due timers run would keep the turn from ending.
    timer.start(Milliseconds(std::max(timeout_ms, 1L)));
  }
  return 0;
}

void CurlMulti::on_poll(uv_poll_t* handle, int status, int events) noexcept {
  const Poll& poll = *static_cast<Poll*>(handle->data);
  if (poll.owner == nullptr) return;
  int ready = status < 0 ? CURL_CSELECT_ERR : 0;
  if ((events & UV_READABLE) != 0) ready |= CURL_CSELECT_IN;
  if ((events & UV_WRITABLE) != 0) ready |= CURL_CSELECT_OUT;
  poll.owner->act(poll.socket, ready);
}

void CurlMulti::act(curl_socket_t socket, int events) {
  int running = 0;
  curl_.multi_socket_action(multi_, socket, events, &running);
  int waiting = 0;
  while (const CURLMsg* message = curl_.multi_info_read(multi_, &waiting)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    void* transfer = nullptr;
    curl_.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    static_cast<Transfer*>(transfer)->on_transfer_done(code);
  }
}

}  // namespace ptth
