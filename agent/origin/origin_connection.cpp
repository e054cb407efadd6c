#include "agent/origin/origin_connection.h"

#include "common/http1_writer.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ptth {

namespace {

// What a connection keeps of its scratch memory between calls.
constexpr size_t kScratchKept = 1024;

Http1Limits parser_limits(const HttpOriginOptions& options) {
  Http1Limits limits;
  limits.head_bytes = options.head_bytes_max;
  limits.fields = options.head_fields_max;
  return limits;
}

// For requests that name no authority.
std::string own_host(const HttpOriginOptions& options) {
  if (!options.unix_path.empty()) return "localhost";
  const bool is_ipv6 = options.host.find(':') != std::string::npos;
  const std::string host =
      is_ipv6 && options.host.front() != '[' ? "[" + options.host + "]" : options.host;
  return host + ":" + std::to_string(options.port);
}

}  // namespace

OriginConnection::OriginConnection(Loop& loop, std::unique_ptr<ByteStream> stream,
                                   const HttpOriginOptions& options, Owner& owner)
    : loop_(loop),
      options_(options),
      owner_(owner),
      own_host_(own_host(options)),
      parser_(parser_limits(options), Side::kOrigin),
      timer_(loop, [this] { on_timeout(); }),
      stream_(std::move(stream)) {
  stream_->set_listener(this);
}

OriginConnection::~OriginConnection() {
  stream_->set_listener(nullptr);
}

Result<void> OriginConnection::begin(const RequestHead& head, Caller& caller) {
  CHECK_INVARIANT(state_ == State::kResting);
  scratch_.clear();
  Http1RequestOptions how;
  // nginx and others refuse an empty Host, which is what a gateway's health check comes down to.
  how.host =
      options_.host_override.empty() && head.authority.empty() ? own_host_ : options_.host_override;
  if (Result<void> written = write_request_head(head, how, scratch_); !written) return written;
  stream_->write(scratch_.front());
  scratch_.clear();
  scratch_.shrink(kScratchKept);
  state_ = State::kCalling;
  caller_ = &caller;
  ++calls_;
  interim_answers_ = 0;
  body_is_chunked_ = head.body == BodyKind::kUnknown;
  request_complete_ = false;
  response_started_ = false;
  response_paused_ = false;
  body_bytes_ = 0;
  body_bytes_reported_ = 0;
  const auto total = static_cast<uint64_t>(options_.total_timeout.count());
  call_deadline_ms_ = total == 0 ? UINT64_MAX : loop_.now_ms() + total;
  parser_.start(head.method == "HEAD" ? Http1ResponseParser::Request::kHead
                                      : Http1ResponseParser::Request::kOther);
  arm_timer();
  return {};
}

void OriginConnection::write_body(Bytes bytes) {
  if (state_ != State::kCalling || bytes.empty()) return;
  body_bytes_ += bytes.size();
  if (body_is_chunked_) {
    write_chunk_begin(bytes.size(), scratch_);
    stream_->write(scratch_.front());
    scratch_.clear();
  }
  stream_->write(bytes);
  if (body_is_chunked_) {
    write_chunk_end(scratch_);
    stream_->write(scratch_.front());
    scratch_.clear();
  }
  arm_timer();
}

void OriginConnection::end_body(const FieldList& trailers) {
  if (state_ != State::kCalling || request_complete_) return;
  request_complete_ = true;
  if (body_is_chunked_) {
    write_last_chunk(trailers, scratch_);
    stream_->write(scratch_.front());
    scratch_.clear();
  }
  arm_timer();
}

void OriginConnection::pause_response() {
  if (response_paused_ || state_ != State::kCalling) return;
  response_paused_ = true;
  stream_->pause_reading();
  arm_timer();
}

void OriginConnection::resume_response() {
  if (!response_paused_) return;
  response_paused_ = false;
  stream_->resume_reading();
  arm_timer();
}

void OriginConnection::abandon(WorkSlot slot) {
  caller_ = nullptr;
  if (state_ != State::kCalling) return;
  state_ = State::kLingering;
  lingering_slot_ = std::move(slot);
  linger_bytes_left_ = options_.cancel_linger_bytes;
  // The origin learns from our FIN that nobody waits; what it still sends is thrown away.
  stream_->shutdown();
  if (response_paused_) resume_response();
  timer_.start(options_.cancel_linger);
}

void OriginConnection::rest() {
  state_ = State::kResting;
  timer_.start(options_.idle_timeout);
}

void OriginConnection::on_bytes(Bytes bytes) {
  switch (state_) {
    case State::kCalling:
      read_answer(bytes);
      return;
    case State::kResting:
      // Nobody asked: the next answer on this connection could be anybody's.
      close();
      return;
    case State::kLingering:
      throw_away(bytes);
      return;
    case State::kDone:
      return;
  }
}

void OriginConnection::throw_away(Bytes bytes) {
  if (bytes.size() <= linger_bytes_left_) {
    linger_bytes_left_ -= static_cast<uint32_t>(bytes.size());
    return;
  }
  owner_.on_origin_cut_off();
  close();
}

void OriginConnection::read_answer(Bytes bytes) {
  response_started_ = true;
  ResponseListener& listener = caller_->response_listener();
  for (;;) {
    switch (parser_.next(bytes)) {
      case Http1Event::kNeedMore:
        arm_timer();
        return;
      case Http1Event::kInterimHead:
        if (++interim_answers_ > options_.interim_answers_max) {
          fail({ErrorKind::kProtocol, Side::kOrigin, "the origin sent too many interim answers"});
          return;
        }
        listener.on_interim_response(parser_.head());
        break;
      case Http1Event::kHead:
        listener.on_response_head(parser_.head());
        break;
      case Http1Event::kBody:
        listener.on_response_body(parser_.body());
        break;
      case Http1Event::kEnd:
        finish_answer(bytes);
        return;
      case Http1Event::kFailed:
        fail(parser_.error());
        return;
    }
    // A listener cannot end the call from its callback, but the call may have been let go before.
    if (state_ != State::kCalling) return;
  }
}

void OriginConnection::finish_answer(Bytes leftover) {
  const bool reusable = parser_.keep_alive_possible() && request_complete_ && leftover.empty() &&
                        stream_->unsent_bytes() == 0 && !response_paused_;
  Caller& caller = *std::exchange(caller_, nullptr);
  timer_.stop();
  state_ = reusable ? State::kResting : State::kDone;
  ResponseListener& listener = caller.response_listener();
  caller.on_connection_released();
  listener.on_response_end(parser_.trailers());
  if (reusable) {
    owner_.on_connection_free(*this);
  } else {
    owner_.on_connection_done(*this);
  }
}

void OriginConnection::on_end() {
  if (state_ != State::kCalling) {
    close();
    return;
  }
  if (parser_.started() && parser_.finish() == Http1Event::kEnd) {
    finish_answer({});
    return;
  }
  lose({ErrorKind::kClosed, Side::kOrigin,
        "the origin closed the connection before its answer was complete"});
}

void OriginConnection::on_failed(const Error& error) {
  if (state_ != State::kCalling) {
    close();
    return;
  }
  lose(error);
}

void OriginConnection::lose(const Error& error) {
  const bool stale = calls_ > 1 && !response_started_;
  if (stale) {
    Caller& caller = *caller_;
    if (caller.on_stale_connection()) {
      caller_ = nullptr;
      close();
      return;
    }
  }
  fail(error);
}

void OriginConnection::fail(const Error& error) {
  Caller& caller = *std::exchange(caller_, nullptr);
  state_ = State::kDone;
  timer_.stop();
  ResponseListener& listener = caller.response_listener();
  caller.on_connection_released();
  listener.on_response_failed(error);
  owner_.on_connection_done(*this);
}

void OriginConnection::close() {
  if (state_ == State::kDone) return;
  state_ = State::kDone;
  timer_.stop();
  lingering_slot_.release();
  owner_.on_connection_done(*this);
}

void OriginConnection::on_sent() {
  if (state_ != State::kCalling) return;
  report_taken();
  if (state_ == State::kCalling) arm_timer();
}

void OriginConnection::report_taken() {
  // Framing counts as body here: credit comes a little late, never early.
  const uint64_t waiting = std::min<uint64_t>(stream_->unsent_bytes(), body_bytes_);
  const uint64_t taken = body_bytes_ - waiting;
  if (taken <= body_bytes_reported_) return;
  const auto count = static_cast<size_t>(taken - body_bytes_reported_);
  body_bytes_reported_ = taken;
  caller_->response_listener().on_request_body_taken(count);
}

// The clock runs against the origin only while the origin is the one who has to do something.
void OriginConnection::arm_timer() {
  Milliseconds wait{0};
  if (stream_->unsent_bytes() > 0) {
    wait = options_.progress_timeout;
  } else if (request_complete_ && !response_paused_) {
    wait = response_started_ ? options_.progress_timeout : options_.first_byte_timeout;
  }
  if (call_deadline_ms_ != UINT64_MAX) {
    const uint64_t now = loop_.now_ms();
    const Milliseconds left(call_deadline_ms_ > now ? call_deadline_ms_ - now : 0);
    wait = wait.count() == 0 ? left : std::min(wait, left);
  }
  if (wait.count() == 0 && call_deadline_ms_ == UINT64_MAX) {
    timer_.stop();
  } else {
    timer_.start(wait);
  }
}

void OriginConnection::on_timeout() {
  if (state_ != State::kCalling) {
    close();
    return;
  }
  std::string detail = "the origin took nothing and sent nothing for too long";
  if (loop_.now_ms() >= call_deadline_ms_)
    detail = "the exchange took longer than allowed";
  else if (request_complete_ && !response_started_)
    detail = "the origin did not begin to answer in time";
  fail({ErrorKind::kTimeout, Side::kOrigin, std::move(detail)});
}

}  // namespace ptth
