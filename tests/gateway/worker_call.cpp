#include "tests/gateway/worker_call.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace ptth::dev {

namespace {

template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  Number number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

WorkerCall::WorkerCall(Loop& loop, Session& session, ResponseListener& listener,
                       const RequestFaults& faults, RequestMethod method)
    : session_(&session),
      listener_(&listener),
      faults_(faults),
      method_(method),
      deliver_(loop, [this] { deliver(); }) {}

WorkerCall::~WorkerCall() {
  if (session_ != nullptr) session_->on_call_gone(*this);
}

void WorkerCall::write_body(Bytes bytes) {
  if (session_ == nullptr || upload_ended_) return;
  upload_.append(bytes);
  session_->on_upload_ready(*this);
}

void WorkerCall::end_body(const FieldList& trailers) {
  if (session_ == nullptr || upload_ended_) return;
  upload_ended_ = true;
  for (const Field field : trailers)
    upload_trailers_.add(field.name, field.value);
  session_->on_upload_ready(*this);
}

void WorkerCall::pause_response() {
  paused_ = true;
}

void WorkerCall::resume_response() {
  paused_ = false;
  deliver_.schedule();
}

void WorkerCall::begin_fields() {
  status_ = 0;
  (answer_ == Answer::kBody ? trailers_ : fields_).clear();
}

bool WorkerCall::add_field(std::string_view name, std::string_view value) {
  FieldList& list = answer_ == Answer::kBody ? trailers_ : fields_;
  if (name == ":status") {
    status_ = whole_number<int>(value).value_or(0);
    return true;
  }
  list.add(name, value);
  return list.list_size() <= kHeaderListBytesMax;
}

void WorkerCall::end_fields(StreamEnd end) {
  if (answer_ == Answer::kWaiting) give_head(end);
  if (end == StreamEnd::kYes) receive_end();
}

void WorkerCall::give_head(StreamEnd end) {
  if (listener_ == nullptr) return;
  ResponseHead head;
  head.status = status_;
  head.fields = fields_;
  if (status_ < 200) {
    listener_->on_interim_response(head);
    return;
  }
  answer_ = Answer::kBody;
  const auto length = fields_.find("content-length");
  if (length) head.content_length = whole_number<uint64_t>(*length).value_or(0);
  const bool no_body = method_ == RequestMethod::kHead || status_ == 204 || status_ == 304;
  if (no_body || end == StreamEnd::kYes) {
    head.body = BodyKind::kNone;
  } else {
    head.body = length ? BodyKind::kLength : BodyKind::kUnknown;
  }
  listener_->on_response_head(head);
}

void WorkerCall::receive_body(Bytes bytes) {
  body_received_ += bytes.size();
  if (paused_ || !download_.empty()) {
    download_.append(bytes);
  } else {
    give_body(bytes);
  }
}

void WorkerCall::give_body(Bytes bytes) {
  if (listener_ != nullptr) listener_->on_response_body(bytes);
  body_delivered_ += bytes.size();
  if (session_ != nullptr) session_->on_body_delivered(*this, bytes.size());
}

void WorkerCall::receive_end() {
  if (answer_ != Answer::kBody) return;
  answer_ = Answer::kReceived;
  if (download_.empty()) give_end();
}

void WorkerCall::give_end() {
  answer_ = Answer::kEnded;
  if (listener_ != nullptr) std::exchange(listener_, nullptr)->on_response_end(trailers_);
}

void WorkerCall::deliver() {
  if (failure_) {
    const Error error = *std::exchange(failure_, std::nullopt);
    fail(error);
    return;
  }
  if (paused_) return;
  if (!download_.empty()) {
    // Swapped out, because the listener may pause in between and more may be appended.
    ByteQueue whole;
    std::swap(whole, download_);
    give_body(whole.front());
  }
  if (answer_ == Answer::kReceived) give_end();
}

void WorkerCall::fail(const Error& error) {
  if (answer_ == Answer::kReceived || answer_ == Answer::kEnded) return;
  answer_ = Answer::kEnded;
  download_.clear();
  if (listener_ != nullptr) std::exchange(listener_, nullptr)->on_response_failed(error);
}

void WorkerCall::fail_later(Error error) {
  failure_ = std::move(error);
  deliver_.schedule();
}

size_t WorkerCall::take_upload(std::span<uint8_t> into) {
  const size_t count = std::min(into.size(), upload_.size());
  std::copy_n(upload_.front().begin(), count, into.begin());
  upload_.consume(count);
  upload_taken_ += count;
  return count;
}

void WorkerCall::tell_upload_taken() {
  const size_t count = std::exchange(upload_taken_, 0);
  if (count > 0 && listener_ != nullptr) listener_->on_request_body_taken(count);
}

}  // namespace ptth::dev
