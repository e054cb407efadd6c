#include "tests/gateway/worker_http2.h"

#include "agent/link/client_magic.h"
#include "tests/gateway/origin_rules.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace ptth::dev {

Http2WorkerSession::Http2WorkerSession(Loop& loop, std::unique_ptr<ByteStream> stream,
                                       Options options, WorkerSession::Listener& listener)
    : loop_(loop),
      options_(std::move(options)),
      listener_(listener),
      stream_(std::move(stream)),
      session_(make_http2(nghttp2_session_client_new2, this)),
      flush_(loop, [this] { flush(); }),
      attach_timer_(loop,
                    [this] {
                      finish({ErrorKind::kTimeout, Side::kOrigin,
                              "the worker did not send and acknowledge SETTINGS in time"});
                    }),
      silence_timer_(loop, [this] { silence_expired(); }),
      close_timer_(loop, [this] {
        finish({ErrorKind::kTimeout, Side::kOrigin, "the worker did not close in time"});
      }) {
  stream_->set_listener(this);
  attach_timer_.start(options_.attach_timeout);
  if (worker_sends_magic(options_.profile)) {
    magic_to_swallow_ = kClientMagicText.size();
  } else {
    state_ = State::kAttaching;
    send_settings();
  }
}

Http2WorkerSession::~Http2WorkerSession() {
  stream_->set_listener(nullptr);
  for (const auto& [id, call] : calls_) {
    if (call != nullptr) call->detach();
  }
}

void Http2WorkerSession::send_settings() {
  const std::array<nghttp2_settings_entry, 4> settings{
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
       {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.stream_window},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 256 * 1024}}};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(options_.link_window));
  flush_.schedule();
}

bool Http2WorkerSession::attached() const {
  return state_ == State::kAttached && !leaving_;
}

size_t Http2WorkerSession::streams_limit() const {
  const uint32_t limit =
      nghttp2_session_get_remote_settings(session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return std::min(limit, options_.streams_max);
}

size_t Http2WorkerSession::room() const {
  if (!attached()) return 0;
  const size_t limit = streams_limit();
  return limit > calls_.size() ? limit - calls_.size() : 0;
}

void Http2WorkerSession::leave() {
  if (state_ == State::kEnded || leaving_) return;
  leaving_ = true;
  // Before it is attached there is nobody to say it to.
  if (state_ == State::kMagic) close_timer_.start(Milliseconds(0));
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
  flush_.schedule();
}

void Http2WorkerSession::on_bytes(Bytes bytes) {
  if (state_ == State::kClosing || state_ == State::kEnded) return;
  ping_waiting_ = false;
  if (state_ == State::kAttached) silence_timer_.start(options_.ping_after);
  const auto cut = options_.faults.cut_after;
  const bool cut_now = cut && bytes_received_ + bytes.size() >= *cut;
  if (cut_now) bytes = bytes.first(static_cast<size_t>(*cut - bytes_received_));
  bytes_received_ += bytes.size();
  if (state_ == State::kMagic) bytes = take_magic(bytes);
  if (!bytes.empty() && state_ != State::kMagic && state_ != State::kEnded) feed(bytes);
  if (cut_now) {
    finish({ErrorKind::kClosed, Side::kLocal, "cut by fault, bytes received"});
    return;
  }
  const auto stop = options_.faults.stop_reading;
  if (stop && state_ == State::kAttached && bytes_received_ >= *stop && !reading_stopped_) {
    reading_stopped_ = true;
    silence_timer_.stop();
    stream_->pause_reading();
  }
}

// Gives what follows the magic. Ends the session if it is something else.
Bytes Http2WorkerSession::take_magic(Bytes bytes) {
  const size_t count = std::min(bytes.size(), kClientMagicText.size() - magic_seen_);
  if (as_text(bytes.first(count)) != kClientMagicText.substr(magic_seen_, count)) {
    finish({ErrorKind::kProtocol, Side::kOrigin,
            "the worker did not send the HTTP/2 client magic; does it use the profile direct?"});
    return {};
  }
  magic_seen_ += count;
  if (magic_seen_ < kClientMagicText.size()) return {};
  state_ = State::kAttaching;
  send_settings();
  return bytes.subspan(count);
}

void Http2WorkerSession::feed(Bytes bytes) {
  if (!settings_seen_ && as_text(bytes).starts_with(kClientMagicText.substr(0, 9))) {
    finish({ErrorKind::kProtocol, Side::kOrigin,
            "the worker sent the HTTP/2 client magic; does it use the profile haproxy?"});
    return;
  }
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  if (state_ == State::kEnded) return;
  if (taken < 0) {
    finish({ErrorKind::kProtocol, Side::kOrigin,
            "HTTP/2: " + std::string(nghttp2_strerror(static_cast<int>(taken)))});
    return;
  }
  flush_.schedule();
}

void Http2WorkerSession::on_end() {
  finish({ErrorKind::kClosed, Side::kOrigin,
          leaving_ ? "the worker left" : "the worker closed the connection"});
}

void Http2WorkerSession::on_failed(const Error& error) {
  finish(error);
}

void Http2WorkerSession::on_sent() {
  flush_.schedule();
}

void Http2WorkerSession::flush() {
  if (state_ == State::kEnded || state_ == State::kMagic || state_ == State::kClosing) return;
  while (state_ != State::kEnded && stream_->unsent_bytes() < options_.output_bytes_max) {
    const uint8_t* frames = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_.get(), &frames);
    if (count == 0) break;
    if (count < 0) {
      finish({ErrorKind::kInternal, Side::kLocal, nghttp2_strerror(static_cast<int>(count))});
      return;
    }
    send({frames, static_cast<size_t>(count)});
  }
  for (const int32_t id : std::exchange(uploads_taken_, {})) {
    if (WorkerCall* call = find(id)) call->tell_upload_taken();
  }
  const bool wants_nothing = nghttp2_session_want_read(session_.get()) == 0 &&
                             nghttp2_session_want_write(session_.get()) == 0;
  if (wants_nothing && state_ != State::kEnded) {
    state_ = State::kClosing;
    attach_timer_.stop();
    silence_timer_.stop();
    stream_->shutdown();
    close_timer_.start(options_.close_timeout);
  }
}

void Http2WorkerSession::send(Bytes bytes) {
  const size_t swallowed = std::min(magic_to_swallow_, bytes.size());
  magic_to_swallow_ -= swallowed;
  bytes = bytes.subspan(swallowed);
  const auto cut = options_.faults.cut_after_sent;
  const bool cut_now = cut && bytes_sent_ + bytes.size() >= *cut;
  if (cut_now) bytes = bytes.first(static_cast<size_t>(*cut - bytes_sent_));
  bytes_sent_ += bytes.size();
  stream_->write(bytes);
  if (!cut_now) return;
  // The bytes before the cut must arrive, so this is an orderly end at an unruly place.
  stream_->shutdown();
  finish({ErrorKind::kClosed, Side::kLocal, "cut by fault, bytes sent"});
}

void Http2WorkerSession::silence_expired() {
  if (ping_waiting_) {
    finish({ErrorKind::kTimeout, Side::kOrigin, "the worker did not answer a PING"});
    return;
  }
  ping_waiting_ = true;
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
  silence_timer_.start(options_.ping_timeout);
  flush_.schedule();
}

void Http2WorkerSession::finish(const Error& error) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  attach_timer_.stop();
  silence_timer_.stop();
  close_timer_.stop();
  flush_.cancel();
  const auto calls = std::exchange(calls_, {});
  for (const auto& [id, call] : calls) {
    if (call == nullptr) continue;
    call->detach();
    Error failure = error;
    failure.retryable = !call->sent;
    call->fail(failure);
  }
  listener_.on_worker_ended(*this, error);
}

WorkerCall* Http2WorkerSession::find(int32_t stream_id) {
  const auto found = calls_.find(stream_id);
  return found == calls_.end() ? nullptr : found->second;
}

void Http2WorkerSession::check_attached() {
  if (state_ != State::kAttaching || !settings_seen_ || !settings_acknowledged_) return;
  if (options_.profile == WorkerProfile::kH2Reverse && !origins_seen_) {
    finish({ErrorKind::kProtocol, Side::kOrigin,
            "the worker sent no ORIGIN frame behind its SETTINGS (RFC 8336)"});
    return;
  }
  state_ = State::kAttached;
  attach_timer_.stop();
  silence_timer_.start(options_.ping_after);
  listener_.on_worker_attached(*this);
}

void Http2WorkerSession::take_origins(const nghttp2_ext_origin& announced) {
  if (options_.profile != WorkerProfile::kH2Reverse) return;
  origins_seen_ = true;
  const auto wrong =
      wrong_with_origins({announced.ov, announced.nov}, options_.origins, options_.name);
  if (wrong) finish({ErrorKind::kProtocol, Side::kOrigin, "ORIGIN: " + *wrong});
}

}  // namespace ptth::dev
