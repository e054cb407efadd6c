#include "tests/gateway/worker_http1.h"

#include "common/check.h"
#include "common/http1_writer.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace ptth::dev {

namespace {

constexpr size_t kChunkBytesMax = size_t{16} * 1024;

bool is_idempotent(std::string_view method) {
  constexpr std::array<std::string_view, 5> kMethods{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
  return std::ranges::find(kMethods, method) != kMethods.end();
}

}  // namespace

Http1WorkerSession::Http1WorkerSession(Loop& loop, std::unique_ptr<ByteStream> stream,
                                       Options options, WorkerSession::Listener& listener)
    : loop_(loop),
      options_(std::move(options)),
      listener_(listener),
      stream_(std::move(stream)),
      parser_({}, Side::kOrigin),
      flush_(loop, [this] { flush(); }),
      close_timer_(loop, [this] {
        finish({ErrorKind::kTimeout, Side::kOrigin, "the worker did not close in time"});
      }) {
  stream_->set_listener(this);
  flush_.schedule();
}

Http1WorkerSession::~Http1WorkerSession() {
  stream_->set_listener(nullptr);
  if (call_ != nullptr) call_->detach();
}

std::unique_ptr<OriginCall> Http1WorkerSession::call(const RequestHead& head,
                                                     const RequestFaults& faults,
                                                     ResponseListener& listener) {
  CHECK_INVARIANT(room() > 0);
  const bool is_head = head.method == "HEAD";
  auto made = std::make_unique<WorkerCall>(
      loop_, *this, listener, faults,
      is_head ? WorkerCall::RequestMethod::kHead : WorkerCall::RequestMethod::kOther);
  if (const auto written = write_request_head(head, {head.authority}, out_); !written) {
    made->detach();
    made->fail_later(written.error());
    return made;
  }
  call_ = made.get();
  answer_open_ = true;
  upload_open_ = head.body != BodyKind::kNone;
  upload_chunked_ = head.body == BodyKind::kUnknown;
  idempotent_ = is_idempotent(head.method);
  parser_.start(is_head ? Http1ResponseParser::Request::kHead
                        : Http1ResponseParser::Request::kOther);
  flush_.schedule();
  return made;
}

void Http1WorkerSession::leave() {
  if (state_ == State::kEnded || leaving_) return;
  leaving_ = true;
  flush_.schedule();
}

void Http1WorkerSession::on_bytes(Bytes bytes) {
  if (state_ == State::kClosing || state_ == State::kEnded || given_up_) return;
  const auto cut = options_.faults.cut_after;
  const bool cut_now = cut && bytes_received_ + bytes.size() >= *cut;
  if (cut_now) bytes = bytes.first(static_cast<size_t>(*cut - bytes_received_));
  bytes_received_ += bytes.size();
  if (!bytes.empty()) feed(bytes);
  if (cut_now) {
    finish({ErrorKind::kClosed, Side::kLocal, "cut by fault, bytes received"});
    return;
  }
  const auto stop = options_.faults.stop_reading;
  if (stop && bytes_received_ >= *stop && !stalled_ && state_ == State::kAttached) {
    stalled_ = true;
    stream_->pause_reading();
  }
}

void Http1WorkerSession::feed(Bytes bytes) {
  while (answer_open_) {
    switch (parser_.next(bytes)) {
      case Http1Event::kNeedMore:
        return;
      case Http1Event::kInterimHead:
      case Http1Event::kHead:
        give_head();
        break;
      case Http1Event::kBody:
        give_body(parser_.body());
        break;
      case Http1Event::kEnd:
        give_end();
        break;
      case Http1Event::kFailed:
        finish({ErrorKind::kProtocol, Side::kOrigin,
                "the worker's answer is no HTTP/1.1: " + parser_.error().detail});
        return;
    }
  }
  if (bytes.empty() || state_ == State::kClosing || state_ == State::kEnded) return;
  finish({ErrorKind::kProtocol, Side::kOrigin,
          "the worker sent something that was not asked for (RFC 9112 section 9.2)"});
}

void Http1WorkerSession::give_head() {
  const ResponseHead& head = parser_.head();
  call_->begin_fields();
  bool fits = call_->add_field(":status", std::to_string(head.status));
  for (const Field field : head.fields)
    fits = call_->add_field(field.name, field.value) && fits;
  if (fits) {
    call_->end_fields(WorkerCall::StreamEnd::kNo);
  } else {
    finish({ErrorKind::kTooLarge, Side::kOrigin, "the head of the worker's answer is too large"});
  }
}

void Http1WorkerSession::give_body(Bytes bytes) {
  const auto reset_after = call_->faults().reset_after;
  const bool reset_now = reset_after && call_->body_received() + bytes.size() >= *reset_after;
  if (reset_now) bytes = bytes.first(static_cast<size_t>(*reset_after - call_->body_received()));
  call_->receive_body(bytes);
  if (reset_now) {
    reset_by_fault();
    return;
  }
  const auto stall_after = call_->faults().stall_window;
  stalled_ = stalled_ || (stall_after && call_->body_received() >= *stall_after);
  const bool full = call_->body_received() - call_->body_delivered() >= options_.stream_window;
  if (!full && !stalled_) return;
  paused_ = true;
  stream_->pause_reading();
}

void Http1WorkerSession::give_end() {
  answer_open_ = false;
  WorkerCall* call = std::exchange(call_, nullptr);
  call->begin_fields();
  bool fits = true;
  for (const Field field : parser_.trailers())
    fits = call->add_field(field.name, field.value) && fits;
  call->tell_upload_taken();
  call->detach();
  if (fits) {
    call->end_fields(WorkerCall::StreamEnd::kYes);
  } else {
    call->fail({ErrorKind::kTooLarge, Side::kOrigin, "the worker's trailers are too large"});
  }
  on_body_delivered(*call, 0);
  // Behind a request that was not sent whole no other can follow.
  const bool whole = !std::exchange(upload_open_, false);
  if (whole && parser_.keep_alive_possible()) {
    if (leaving_) flush_.schedule();
    if (!leaving_) listener_.on_worker_room(*this);
    return;
  }
  if (!std::exchange(leaving_, true)) listener_.on_worker_leaving(*this);
  close();
}

void Http1WorkerSession::reset_by_fault() {
  WorkerCall* call = std::exchange(call_, nullptr);
  answer_open_ = false;
  stream_->break_off();
  call->detach();
  call->fail({ErrorKind::kCancelled, Side::kLocal, "reset by fault"});
  finish({ErrorKind::kCancelled, Side::kLocal, "reset by fault"});
}

void Http1WorkerSession::on_end() {
  if (answer_open_ && parser_.started() && parser_.finish() == Http1Event::kEnd) give_end();
  finish({ErrorKind::kClosed, Side::kOrigin,
          leaving_ ? "the worker left" : "the worker closed the connection"});
}

void Http1WorkerSession::on_failed(const Error& error) {
  finish(error);
}

void Http1WorkerSession::on_sent() {
  if (upload_open_) flush_.schedule();
}

void Http1WorkerSession::flush() {
  if (state_ == State::kClosing || state_ == State::kEnded) return;
  if (given_up_) {
    finish({ErrorKind::kCancelled, Side::kLocal, "the user went away in the middle of an answer"});
    return;
  }
  if (state_ == State::kOpening) {
    state_ = State::kAttached;
    if (!leaving_) listener_.on_worker_attached(*this);
  }
  if (!out_.empty()) send();
  if (call_ != nullptr && call_->sent && call_->faults().reset_after == uint64_t{0}) {
    reset_by_fault();
    return;
  }
  if (upload_open_ && call_ != nullptr) write_upload();
  if (state_ == State::kAttached && leaving_ && !busy()) close();
}

void Http1WorkerSession::write_upload() {
  std::array<uint8_t, kChunkBytesMax> piece{};
  while (!call_->upload_empty() && stream_->unsent_bytes() < options_.output_bytes_max) {
    const size_t count = call_->take_upload(piece);
    if (upload_chunked_) write_chunk_begin(count, out_);
    out_.append({piece.data(), count});
    if (upload_chunked_) write_chunk_end(out_);
    send();
    if (state_ == State::kEnded) return;
  }
  if (call_->upload_empty() && call_->upload_ended()) {
    upload_open_ = false;
    if (upload_chunked_) {
      write_last_chunk(call_->upload_trailers(), out_);
      send();
    }
  }
  if (call_ != nullptr) call_->tell_upload_taken();
}

void Http1WorkerSession::send() {
  Bytes bytes = out_.front();
  const auto cut = options_.faults.cut_after_sent;
  const bool cut_now = cut && bytes_sent_ + bytes.size() >= *cut;
  if (cut_now) bytes = bytes.first(static_cast<size_t>(*cut - bytes_sent_));
  bytes_sent_ += bytes.size();
  stream_->write(bytes);
  out_.clear();
  if (call_ != nullptr) call_->sent = true;
  if (!cut_now) return;
  // The bytes before the cut must arrive, so this is an orderly end at an unruly place.
  stream_->shutdown();
  finish({ErrorKind::kClosed, Side::kLocal, "cut by fault, bytes sent"});
}

void Http1WorkerSession::on_upload_ready(WorkerCall& /*call*/) {
  flush_.schedule();
}

void Http1WorkerSession::on_body_delivered(WorkerCall& call, size_t /*count*/) {
  const bool full = call.body_received() - call.body_delivered() >= options_.stream_window;
  if (!paused_ || stalled_ || (full && answer_open_)) return;
  paused_ = false;
  stream_->resume_reading();
}

void Http1WorkerSession::on_call_gone(WorkerCall& call) {
  call_ = nullptr;
  answer_open_ = false;
  upload_open_ = false;
  if (call.sent) {
    // Nothing but the end of the connection tells the worker.
    given_up_ = true;
    leaving_ = true;
    stream_->break_off();
  } else {
    out_.clear();
    listener_.on_worker_room(*this);
  }
  flush_.schedule();
}

void Http1WorkerSession::close() {
  state_ = State::kClosing;
  stream_->shutdown();
  if (std::exchange(paused_, false)) stream_->resume_reading();
  close_timer_.start(options_.close_timeout);
}

// As long as no byte of an answer has come; a worker that leaves an idle connection and a request
// for it may cross each other (RFC 9112 section 9.3.1).
bool Http1WorkerSession::may_ask_again() const {
  return !call_->sent || (idempotent_ && !parser_.started());
}

void Http1WorkerSession::finish(const Error& error) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  close_timer_.stop();
  flush_.cancel();
  if (call_ != nullptr) {
    Error failure = error;
    failure.retryable = may_ask_again();
    WorkerCall* call = std::exchange(call_, nullptr);
    answer_open_ = false;
    call->detach();
    call->fail(failure);
  }
  listener_.on_worker_ended(*this, error);
}

}  // namespace ptth::dev
