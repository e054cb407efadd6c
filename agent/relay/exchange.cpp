#include "agent/relay/exchange.h"

#include "agent/relay/http2_error_code.h"
#include "common/http_rules.h"

#include <utility>

namespace ptth {

namespace {

// A gateway's user who goes away is nobody's trouble, nor is a request that the gateway sends
// elsewhere because we leave.
LogLevel log_level(Verdict verdict) {
  const bool is_trouble =
      verdict != Verdict::kOk && verdict != Verdict::kGatewayReset && verdict != Verdict::kDraining;
  return is_trouble ? LogLevel::kWarn : LogLevel::kInfo;
}

// For the head of an HTTP/2 frame.
constexpr size_t kResponseHeadroom = 9;

double seconds(uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e9;
}

}  // namespace

Exchange::Exchange(const ExchangeSurroundings& surroundings, int32_t stream_id)
    : around_(surroundings), stream_id_(stream_id), started_ns_(uv_hrtime()) {
  note_progress();
  around_.metrics.in_flight.add(1);
}

Exchange::~Exchange() {
  CHECK_INVARIANT(finished_);
}

void Exchange::start(RequestHead head, Origin& origin) {
  defer(std::move(head));
  start_deferred(origin);
}

void Exchange::defer(RequestHead head) {
  head_ = std::move(head);
  started_ = true;
  deferred_ = true;
  note_progress();
}

void Exchange::start_deferred(Origin& origin) {
  deferred_ = false;
  call_ = origin.start(head_, *this, WorkSlot());
  note_progress();
  if (deferred_priority_) call_->reprioritize(*deferred_priority_);
  if (!deferred_body_.empty()) call_->write_body(deferred_body_.front());
  if (request_ended_) call_->end_body(deferred_trailers_);
  deferred_body_.clear();
  around_.loop.give_queue(std::exchange(deferred_body_, {}));
}

void Exchange::reprioritize(const Priority& priority) {
  if (deferred_) deferred_priority_ = priority;
  if (call_) call_->reprioritize(priority);
}

void Exchange::refuse(const Error& error) {
  drop_call();
  answer(refusal_for(error, around_.replay), error);
}

void Exchange::refuse(const Error& error, int status) {
  drop_call();
  Refusal refusal = refusal_for(error, around_.replay);
  refusal.status = status;
  answer(refusal, error);
}

void Exchange::on_request_body(Bytes bytes) {
  note_progress();
  request_bytes_ += bytes.size();
  around_.metrics.request_body_bytes.add(bytes.size());
  if (deferred_) {
    hold_bytes(bytes.size());
    if (deferred_body_.empty()) deferred_body_ = around_.loop.take_queue(bytes.size());
    deferred_body_.append(bytes);
    return;
  }
  if (!call_) {
    // Answered or given up already: the bytes go nowhere, and the link's other exchanges need the
    // credit.
    around_.carrier.return_credit(*this, bytes.size());
    return;
  }
  hold_bytes(bytes.size());
  call_->write_body(bytes);
}

void Exchange::on_request_end(const FieldList& trailers) {
  note_progress();
  request_ended_ = true;
  if (deferred_) deferred_trailers_ = trailers;
  if (call_) call_->end_body(trailers);
}

void Exchange::on_request_body_taken(size_t count) {
  if (finished_) return;
  note_progress();
  request_bytes_taken_ += count;
  free_bytes(count);
  around_.carrier.return_credit(*this, count);
}

void Exchange::on_interim_response(const ResponseHead& head) {
  if (finished_ || response_state_ != ResponseState::kWaiting) return;
  note_progress();
  around_.carrier.send_interim(*this, head);
}

void Exchange::on_response_head(const ResponseHead& head) {
  if (finished_ || response_state_ != ResponseState::kWaiting) return;
  note_progress();
  first_byte_ns_ = uv_hrtime();
  around_.metrics.first_byte_seconds.observe(seconds(first_byte_ns_ - started_ns_));
  status_ = head.status;
  response_state_ = head.body == BodyKind::kNone ? ResponseState::kComplete : ResponseState::kBody;
  around_.carrier.send_head(*this, head);
}

void Exchange::on_response_body(Bytes bytes) {
  if (finished_ || response_state_ != ResponseState::kBody) return;
  note_progress();
  response_bytes_ += bytes.size();
  around_.metrics.response_body_bytes.add(bytes.size());
  hold_bytes(bytes.size());
  buffer_response(bytes);
  around_.carrier.response_ready(*this);
  const bool over_mark =
      response_.size() >= around_.response_buffer_bytes || around_.link_budget.exceeded();
  if (over_mark && !response_paused_ && call_) {
    response_paused_ = true;
    call_->pause_response();
  }
}

void Exchange::on_response_end(const FieldList& trailers) {
  if (finished_ || response_state_ == ResponseState::kReset) return;
  note_progress();
  drop_call();
  if (response_state_ == ResponseState::kComplete) return;
  response_trailers_ = trailers;
  response_state_ = ResponseState::kComplete;
  around_.carrier.response_ready(*this);
}

void Exchange::on_response_failed(const Error& error) {
  if (finished_ || response_state_ == ResponseState::kReset) return;
  drop_call();
  answer(refusal_for(error, around_.replay), error);
}

void Exchange::answer(const Refusal& refusal, const Error& error) {
  verdict_ = refusal.verdict;
  error_detail_ = error.detail;
  if (response_state_ != ResponseState::kWaiting || refusal.status == 0) {
    // A head is out, or the gateway should send the request elsewhere. What is still buffered is
    // not worth sending: the answer can never become whole.
    const bool was_waiting = response_state_ == ResponseState::kWaiting;
    response_state_ = ResponseState::kReset;
    around_.carrier.reset(*this, was_waiting ? refusal.reset_code : http2::kInternalError);
    return;
  }
  status_ = refusal.status;
  std::string body(refusal.reason);
  body += '\n';
  ResponseHead head;
  head.status = refusal.status;
  head.fields.add("content-type", "text/plain; charset=utf-8");
  head.fields.add("content-length", std::to_string(body.size()));
  head.fields.add("cache-control", "no-store");
  head.fields.add("proxy-status", "ptth-agent; error=" + std::string(refusal.proxy_status) +
                                      "; details=\"" + std::string(to_string(refusal.verdict)) +
                                      "\"");
  if (refusal.status == 503) head.fields.add("retry-after", "1");
  const bool has_body = head_.method != "HEAD";
  head.body = has_body ? BodyKind::kLength : BodyKind::kNone;
  head.content_length = has_body ? body.size() : 0;
  response_state_ = ResponseState::kComplete;
  around_.carrier.send_head(*this, head);
  if (!has_body) return;
  hold_bytes(body.size());
  buffer_response({reinterpret_cast<const uint8_t*>(body.data()), body.size()});
  around_.carrier.response_ready(*this);
}

void Exchange::consume_response(size_t count) {
  note_progress();
  response_.consume(count);
  if (response_.empty()) around_.loop.give_queue(std::exchange(response_, {}));
  free_bytes(count);
  if (response_paused_ && response_.size() <= around_.response_buffer_bytes / 2) {
    response_paused_ = false;
    if (call_) call_->resume_response();
  }
}

bool Exchange::waits_for_gateway() const {
  if (finished_ || deferred_) return false;
  if (!response_.empty() || response_state_ == ResponseState::kComplete) return true;
  const bool origin_has_all = request_bytes_taken_ == request_bytes_;
  return !request_ended_ && origin_has_all && response_state_ == ResponseState::kWaiting;
}

void Exchange::stall() {
  if (finished_ || response_state_ == ResponseState::kReset) return;
  Error error{ErrorKind::kTimeout, Side::kGateway, "the gateway made no progress"};
  if (response_state_ == ResponseState::kWaiting) {
    drop_call();
    answer(refusal_for(error, around_.replay), error);
    return;
  }
  give_up(Verdict::kGatewayStalled, std::move(error.detail));
  around_.carrier.reset(*this, http2::kCancel);
}

void Exchange::give_up(Verdict verdict, std::string detail) {
  verdict_ = verdict;
  error_detail_ = std::move(detail);
  drop_call();
  deferred_ = false;
  response_state_ = ResponseState::kReset;
}

void Exchange::finish(Verdict verdict_unless_known) {
  if (finished_) return;
  finished_ = true;
  drop_call();
  free_bytes(held_bytes_);
  response_.clear();
  around_.loop.give_queue(std::exchange(response_, {}));
  around_.metrics.in_flight.add(-1);
  const Verdict verdict = verdict_.value_or(verdict_unless_known);
  around_.metrics.exchanges[static_cast<size_t>(verdict)]->add();
  const int status_class = status_ / 100;
  around_.metrics.responses[static_cast<size_t>(status_class)]->add();
  const uint64_t now = uv_hrtime();
  if (first_byte_ns_ != 0) {
    around_.metrics.transfer_seconds.observe(seconds(now - first_byte_ns_));
  }
  around_.metrics.exchange_seconds.observe(seconds(now - started_ns_));
  if (around_.log.enabled(log_level(verdict))) write_log_line(verdict);
}

void Exchange::write_log_line(Verdict verdict) {
  const uint64_t now = uv_hrtime();
  // The query may carry secrets; it stays out.
  around_.log.write(
      log_level(verdict), "exchange",
      {{"gateway", around_.gateway},
       {"link", around_.link_id},
       {"stream", int64_t{stream_id_}},
       {"method", head_.method},
       {"authority", head_.authority},
       {"path", without_query(head_.path)},
       {"status", status_},
       {"verdict", to_string(verdict)},
       {"request_bytes", request_bytes_},
       {"response_bytes", response_bytes_},
       {"first_byte_ms", first_byte_ns_ == 0 ? 0.0 : seconds(first_byte_ns_ - started_ns_) * 1e3},
       {"duration_ms", seconds(now - started_ns_) * 1e3},
       {"detail", error_detail_}});
}

void Exchange::buffer_response(Bytes bytes) {
  if (response_.capacity() == 0) response_ = around_.loop.take_queue(bytes.size());
  if (response_.empty()) response_.leave_headroom(kResponseHeadroom);
  response_.append(bytes);
}

void Exchange::hold_bytes(size_t count) {
  held_bytes_ += count;
  around_.link_budget.use(count);
  around_.metrics.buffered_bytes.add(static_cast<double>(count));
}

void Exchange::free_bytes(size_t count) {
  CHECK_INVARIANT(count <= held_bytes_);
  held_bytes_ -= count;
  around_.link_budget.give_back(count);
  around_.metrics.buffered_bytes.add(-static_cast<double>(count));
}

void Exchange::drop_call() {
  if (!call_) return;
  // Request bytes that the call still held go with it.
  const auto untaken = static_cast<size_t>(request_bytes_ - request_bytes_taken_);
  if (untaken > 0 && held_bytes_ >= untaken) {
    request_bytes_taken_ = request_bytes_;
    free_bytes(untaken);
    if (!finished_) around_.carrier.return_credit(*this, untaken);
  }
  around_.loop.retire(std::move(call_));
}

}  // namespace ptth
