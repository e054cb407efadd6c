#include "agent/relay/admitted_call.h"

#include <utility>

namespace ptth {

namespace {

// RFC 6585 section 4 and RFC 9110 section 15.6.4: the origin itself says that it has too much.
bool says_overload(int status) {
  return status == 429 || status == 503;
}

bool means_overload(const Error& error) {
  return error.side == Side::kOrigin &&
         (error.kind == ErrorKind::kTimeout || error.kind == ErrorKind::kUnreachable ||
          error.kind == ErrorKind::kClosed);
}

ResponseHead without_field(const ResponseHead& head, std::string_view name) {
  ResponseHead stripped;
  stripped.status = head.status;
  stripped.body = head.body;
  stripped.content_length = head.content_length;
  for (const Field field : head.fields) {
    if (field.name != name) stripped.fields.add(field.name, field.value);
  }
  return stripped;
}

}  // namespace

AdmittedCall::~AdmittedCall() {
  if (state_ == State::kWaiting || state_ == State::kDoomed) owner_.on_gone(*this);
}

void AdmittedCall::wait(Loop& loop, WorkSlot slot, Milliseconds at_most, QueueDrop reason) {
  state_ = State::kWaiting;
  drop_reason_ = reason;
  waiting_ = std::make_unique<Waiting>(loop, *this);
  waiting_->slot = std::move(slot);
  waiting_->expiry.start(at_most);
}

WorkSlot AdmittedCall::take_slot() {
  return std::move(waiting_->slot);
}

void AdmittedCall::begin(Origin& origin, WorkSlot slot, const Start& start) {
  state_ = State::kStarted;
  in_flight_ = start.in_flight;
  ResponseListener* listener = &listener_;
  if (start.watch == Watch::kYes) {
    listener = this;
    started_us_ = owner_.now_us();
  }
  inner_ = origin.start(head_, *listener, std::move(slot));
  const std::unique_ptr<Waiting> waited = std::move(waiting_);
  if (!waited) return;
  if (!waited->body.empty()) inner_->write_body(waited->body.front());
  if (waited->body_end) inner_->end_body(*waited->body_end);
}

void AdmittedCall::doom(QueueDrop reason) {
  state_ = State::kDoomed;
  drop_reason_ = reason;
  waiting_->expiry.stop();
}

void AdmittedCall::fail(const Error& error) {
  state_ = State::kOver;
  waiting_->expiry.stop();
  waiting_->slot.release();
  listener_.on_response_failed(error);
}

void AdmittedCall::write_body(Bytes bytes) {
  if (inner_) return inner_->write_body(bytes);
  if (state_ != State::kWaiting) return;
  waiting_->body.append(bytes);
  owner_.on_body_held(*this, bytes.size());
}

void AdmittedCall::end_body(const FieldList& trailers) {
  if (inner_) {
    inner_->end_body(trailers);
  } else if (state_ == State::kWaiting) {
    waiting_->body_end = trailers;
  }
}

void AdmittedCall::pause_response() {
  if (inner_) inner_->pause_response();
}

void AdmittedCall::resume_response() {
  if (inner_) inner_->resume_response();
}

void AdmittedCall::reprioritize(const Priority& priority) {
  if (inner_) {
    inner_->reprioritize(priority);
  } else if (state_ == State::kWaiting) {
    owner_.on_reprioritized(*this, priority);
  }
}

// --- The answer, when watched -------------------------------------------------------------------

void AdmittedCall::note_answer(GradientLimit::Outcome outcome) {
  if (std::exchange(is_answered_, true)) return;
  owner_.on_answer(*this, {{started_us_, owner_.now_us(), in_flight_, outcome}});
}

void AdmittedCall::on_interim_response(const ResponseHead& head) {
  listener_.on_interim_response(head);
}

void AdmittedCall::on_response_head(const ResponseHead& head) {
  using Outcome = GradientLimit::Outcome;
  note_answer(says_overload(head.status) ? Outcome::kOverloaded : Outcome::kAnswered);
  const std::string& field = owner_.capacity_field();
  const auto said = field.empty() ? std::nullopt : head.fields.find(field);
  if (!said) return listener_.on_response_head(head);
  owner_.on_capacity_said(*said);
  listener_.on_response_head(without_field(head, field));
}

void AdmittedCall::on_response_body(Bytes bytes) {
  listener_.on_response_body(bytes);
}

void AdmittedCall::on_response_end(const FieldList& trailers) {
  state_ = State::kOver;
  listener_.on_response_end(trailers);
}

void AdmittedCall::on_response_failed(const Error& error) {
  state_ = State::kOver;
  if (means_overload(error)) note_answer(GradientLimit::Outcome::kOverloaded);
  listener_.on_response_failed(error);
}

void AdmittedCall::on_request_body_taken(size_t count) {
  listener_.on_request_body_taken(count);
}

}  // namespace ptth
