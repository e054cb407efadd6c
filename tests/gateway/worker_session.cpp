#include "tests/gateway/worker_session.h"

#include "agent/link/client_magic.h"
#include "common/check.h"
#include "tests/gateway/http2_engine.h"
#include "tests/gateway/origin_rules.h"
#include "tests/gateway/worker_call.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace ptth::dev {

namespace {

// States:  kMagic -> kAttaching -> kAttached -> kClosing -> kEnded
//             \____________\____________\___________________^
// kMagic: only when the worker sends it. kClosing: nothing more to say, waiting for the worker's
// last byte.
enum class State { kMagic, kAttaching, kAttached, kClosing, kEnded };

class Http2WorkerSession final : public WorkerSession,
                                 public ByteStream::Listener,
                                 public WorkerCall::Session {
 public:
  Http2WorkerSession(Loop& loop, std::unique_ptr<ByteStream> stream, Options options,
                     WorkerSession::Listener& listener);
  ~Http2WorkerSession() override;

  std::unique_ptr<OriginCall> call(const RequestHead& head, const RequestFaults& faults,
                                   ResponseListener& listener) override;
  void leave() override;
  bool attached() const override;
  size_t room() const override;

  size_t in_flight() const override { return calls_.size(); }

  size_t streams_limit() const override;

  const Options& options() const override { return options_; }

  // nghttp2's callbacks
  int begin_headers(const nghttp2_frame& frame);
  int header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  void frame_received(const nghttp2_frame& frame);
  void frame_sent(const nghttp2_frame& frame);
  int body_received(int32_t stream_id, Bytes bytes);
  void stream_closed(int32_t stream_id, uint32_t code);
  ssize_t read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags);

 private:
  // ByteStream::Listener
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // WorkerCall::Session
  void on_upload_ready(WorkerCall& call) override;
  void on_body_delivered(WorkerCall& call, size_t count) override;
  void on_call_gone(WorkerCall& call) override;

  void send_settings();
  Bytes take_magic(Bytes bytes);
  void feed(Bytes bytes);
  void flush();
  void send(Bytes bytes);
  void check_attached();
  void take_origins(const nghttp2_ext_origin& announced);
  void reset_by_fault(WorkerCall& call);
  void silence_expired();
  void finish(const Error& error);
  WorkerCall* find(int32_t stream_id);

  Loop& loop_;
  Options options_;
  WorkerSession::Listener& listener_;
  std::unique_ptr<ByteStream> stream_;
  Http2Handle session_;
  State state_ = State::kMagic;
  size_t magic_seen_ = 0;
  size_t magic_to_swallow_ = 0;
  bool settings_seen_ = false;
  bool settings_acknowledged_ = false;
  bool origins_seen_ = false;
  bool leaving_ = false;
  bool ping_waiting_ = false;
  bool reading_stopped_ = false;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  // Every stream that nghttp2 has not closed; null when the call has gone before its stream.
  std::unordered_map<int32_t, WorkerCall*> calls_;
  std::vector<int32_t> uploads_taken_;
  EndOfTurn flush_;
  Timer attach_timer_;
  Timer silence_timer_;
  Timer close_timer_;
};

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

std::unique_ptr<OriginCall> Http2WorkerSession::call(const RequestHead& head,
                                                     const RequestFaults& faults,
                                                     ResponseListener& listener) {
  CHECK_INVARIANT(attached());
  auto made = std::make_unique<WorkerCall>(
      loop_, *this, listener, faults,
      head.method == "HEAD" ? WorkerCall::RequestMethod::kHead : WorkerCall::RequestMethod::kOther);
  const std::string length = std::to_string(head.content_length);
  std::vector<nghttp2_nv> list{name_value(":method", head.method),
                               name_value(":scheme", head.scheme)};
  if (!head.authority.empty()) list.push_back(name_value(":authority", head.authority));
  list.push_back(name_value(":path", head.path));
  for (const Field field : head.fields) {
    if (field.name == "content-length" || field.name == "host") continue;
    list.push_back(name_value(field.name, field.value));
  }
  if (head.body == BodyKind::kLength) list.push_back(name_value("content-length", length));
  const nghttp2_data_provider body = body_of<Http2WorkerSession>();
  const int32_t id =
      nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(),
                             head.body == BodyKind::kNone ? nullptr : &body, nullptr);
  if (id < 0) {
    // The last stream id has been used: RFC 9113 section 5.1.1 wants a new connection.
    leave();
    made->detach();
    made->fail_later({ErrorKind::kOverload, Side::kOrigin, "the worker takes no more requests",
                      /*retryable=*/true});
    return made;
  }
  made->stream_id = id;
  calls_.emplace(id, made.get());
  flush_.schedule();
  return made;
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

void Http2WorkerSession::on_upload_ready(WorkerCall& call) {
  nghttp2_session_resume_data(session_.get(), call.stream_id);
  flush_.schedule();
}

void Http2WorkerSession::on_body_delivered(WorkerCall& call, size_t count) {
  const auto stalled_after = call.faults().stall_window;
  if (stalled_after && call.body_delivered() >= *stalled_after) return;
  nghttp2_session_consume_stream(session_.get(), call.stream_id, count);
  flush_.schedule();
}

void Http2WorkerSession::on_call_gone(WorkerCall& call) {
  const auto found = calls_.find(call.stream_id);
  if (found == calls_.end()) return;
  found->second = nullptr;
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call.stream_id,
                            call.answer_complete() ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
  flush_.schedule();
}

void Http2WorkerSession::reset_by_fault(WorkerCall& call) {
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call.stream_id, NGHTTP2_CANCEL);
  calls_[call.stream_id] = nullptr;
  call.detach();
  call.fail({ErrorKind::kCancelled, Side::kLocal, "reset by fault"});
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
  const auto wrong = wrong_with_origins({announced.ov, announced.nov}, options_.origins_allowed);
  if (wrong) finish({ErrorKind::kProtocol, Side::kOrigin, "ORIGIN: " + *wrong});
}

int Http2WorkerSession::begin_headers(const nghttp2_frame& frame) {
  if (WorkerCall* call = find(frame.hd.stream_id)) call->begin_fields();
  return 0;
}

int Http2WorkerSession::header(const nghttp2_frame& frame, std::string_view name,
                               std::string_view value) {
  WorkerCall* call = find(frame.hd.stream_id);
  if (call == nullptr || call->add_field(name, value)) return 0;
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void Http2WorkerSession::frame_received(const nghttp2_frame& frame) {
  const bool end_stream = has_end_stream(frame);
  switch (frame.hd.type) {
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        settings_acknowledged_ = true;
      } else {
        settings_seen_ = true;
        if (state_ == State::kAttached) listener_.on_worker_limit(*this);
      }
      check_attached();
      break;
    case NGHTTP2_ORIGIN:
      take_origins(*static_cast<const nghttp2_ext_origin*>(frame.ext.payload));
      break;
    case NGHTTP2_HEADERS:
      if (WorkerCall* call = find(frame.hd.stream_id)) {
        call->end_fields(end_stream ? WorkerCall::StreamEnd::kYes : WorkerCall::StreamEnd::kNo);
      }
      break;
    case NGHTTP2_DATA:
      if (WorkerCall* call = find(frame.hd.stream_id); call != nullptr && end_stream) {
        call->receive_end();
      }
      break;
    case NGHTTP2_GOAWAY:
      if (!leaving_) {
        leaving_ = true;
        listener_.on_worker_leaving(*this);
      }
      break;
    default:
      break;
  }
}

void Http2WorkerSession::frame_sent(const nghttp2_frame& frame) {
  WorkerCall* call = frame.hd.type == NGHTTP2_HEADERS ? find(frame.hd.stream_id) : nullptr;
  if (call == nullptr) return;
  call->sent = true;
  if (call->faults().reset_after == uint64_t{0}) reset_by_fault(*call);
}

int Http2WorkerSession::body_received(int32_t stream_id, Bytes bytes) {
  nghttp2_session_consume_connection(session_.get(), bytes.size());
  WorkerCall* call = find(stream_id);
  if (call == nullptr) return 0;
  const auto reset_after = call->faults().reset_after;
  const bool reset_now = reset_after && call->body_received() + bytes.size() >= *reset_after;
  if (reset_now) bytes = bytes.first(static_cast<size_t>(*reset_after - call->body_received()));
  call->receive_body(bytes);
  // The listener may have retired the call, never destroyed it, so it can be named again.
  if (reset_now) reset_by_fault(*call);
  return 0;
}

void Http2WorkerSession::stream_closed(int32_t stream_id, uint32_t code) {
  const auto found = calls_.find(stream_id);
  if (found == calls_.end()) return;
  WorkerCall* call = found->second;
  calls_.erase(found);
  if (call != nullptr) {
    call->tell_upload_taken();
    call->detach();
    call->fail(error_of_reset(code));
  }
  if (state_ == State::kAttached) listener_.on_worker_room(*this);
}

ssize_t Http2WorkerSession::read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags) {
  WorkerCall* call = find(stream_id);
  if (call == nullptr) return NGHTTP2_ERR_DEFERRED;
  const size_t count = call->take_upload(into);
  if (count > 0) uploads_taken_.push_back(stream_id);
  if (!call->upload_empty() || (count == 0 && !call->upload_ended())) {
    return count > 0 ? static_cast<ssize_t>(count) : ssize_t{NGHTTP2_ERR_DEFERRED};
  }
  if (!call->upload_ended()) return static_cast<ssize_t>(count);
  flags |= NGHTTP2_DATA_FLAG_EOF;
  if (!call->upload_trailers().empty()) {
    std::vector<nghttp2_nv> list;
    append_fields(call->upload_trailers(), list);
    flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session_.get(), stream_id, list.data(), list.size());
  }
  return static_cast<ssize_t>(count);
}

}  // namespace

std::unique_ptr<WorkerSession> WorkerSession::start(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                    Options options, Listener& listener) {
  return std::make_unique<Http2WorkerSession>(loop, std::move(stream), std::move(options),
                                              listener);
}

}  // namespace ptth::dev
