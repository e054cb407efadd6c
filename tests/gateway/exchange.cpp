#include "tests/gateway/exchange.h"

#include <algorithm>
#include <utility>

namespace ptth::dev {

namespace {

int status_for(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kOverload:
    case ErrorKind::kDraining:
      return 503;
    case ErrorKind::kTimeout:
      return 504;
    default:
      return 502;
  }
}

}  // namespace

Exchange::Exchange(const Surroundings& surroundings, uint64_t number, const RequestHead& head,
                   const RequestFaults& faults, ResponseListener& listener)
    : at_(surroundings),
      number_(number),
      head_(head),
      faults_(faults),
      listener_(listener),
      started_ms_(surroundings.loop.now_ms()),
      timer_(surroundings.loop, [this] { timer_expired(); }),
      retry_timer_(surroundings.loop, [this] {
        refused_by_.clear();
        at_.queue.look_again();
      }) {
  if (faults_.delay > Milliseconds(0)) {
    timer_.start(faults_.delay);
  } else {
    wait_for_worker();
  }
}

Exchange::~Exchange() {
  if (state_ == State::kQueued) at_.queue.remove(*this);
  if (state_ != State::kDone) log_end("user gone");
}

void Exchange::wait_for_worker() {
  state_ = State::kQueued;
  // A full queue is told from the timer, because nobody may be called from inside start().
  timer_.start(at_.queue.enter(*this) ? at_.retry.queue_time : Milliseconds(0));
}

void Exchange::timer_expired() {
  switch (state_) {
    case State::kDelayed:
      wait_for_worker();
      break;
    case State::kQueued:
      answer(503, at_.queue.reason_to_wait());
      break;
    case State::kSent:
      answer(504, "the worker did not answer in time");
      break;
    case State::kAnswering:
    case State::kDone:
      break;
  }
}

bool Exchange::refused_by(const WorkerSession& worker) const {
  return std::ranges::find(refused_by_, worker.options().number) != refused_by_.end();
}

void Exchange::send_to(WorkerSession& worker) {
  CHECK_INVARIANT(state_ == State::kQueued && call_ == nullptr);
  state_ = State::kSent;
  retry_timer_.stop();
  timer_.start(at_.retry.answer_timeout);
  ++tries_;
  taken_this_try_ = 0;
  worker_ = worker.options().name;
  worker_number_ = worker.options().number;
  channel_ = worker.options().channel;
  call_ = worker.call(head_, faults_, *this);
  if (paused_) call_->pause_response();
  if (!replay_.empty()) call_->write_body(replay_.front());
  if (body_ended_) call_->end_body(trailers_);
  if (replay_.size() > at_.retry.replay_bytes_max) {
    replay_possible_ = false;
    replay_.clear();
  }
}

void Exchange::write_body(Bytes bytes) {
  bytes_up_ += bytes.size();
  if (call_ != nullptr) call_->write_body(bytes);
  switch (state_) {
    case State::kDelayed:
    case State::kQueued:
      // Bounded by the credit that the user has: nothing is told as taken.
      replay_.append(bytes);
      break;
    case State::kSent:
      if (!replay_possible_) break;
      if (replay_.size() + bytes.size() <= at_.retry.replay_bytes_max) {
        replay_.append(bytes);
      } else {
        replay_possible_ = false;
        replay_.clear();
      }
      break;
    case State::kAnswering:
    case State::kDone:
      break;
  }
}

void Exchange::end_body(const FieldList& trailers) {
  body_ended_ = true;
  trailers_ = trailers;
  if (call_ != nullptr) call_->end_body(trailers);
}

void Exchange::pause_response() {
  paused_ = true;
  if (call_ != nullptr) call_->pause_response();
}

void Exchange::resume_response() {
  paused_ = false;
  if (call_ != nullptr) call_->resume_response();
}

void Exchange::on_interim_response(const ResponseHead& head) {
  if (state_ != State::kSent) return;
  // The worker has seen the request.
  replay_possible_ = false;
  replay_.clear();
  listener_.on_interim_response(head);
}

void Exchange::on_response_head(const ResponseHead& head) {
  if (state_ != State::kSent) return;
  state_ = State::kAnswering;
  timer_.stop();
  replay_possible_ = false;
  replay_.clear();
  status_ = head.status;
  ResponseHead passed = head;
  const std::string_view version = channel_ == Channel::kHttp1 ? "1.1" : "2";
  passed.fields.add("via", std::string(version) + " ptth-dev-gateway");
  listener_.on_response_head(passed);
}

void Exchange::on_response_body(Bytes bytes) {
  if (state_ != State::kAnswering) return;
  bytes_down_ += bytes.size();
  listener_.on_response_body(bytes);
}

void Exchange::on_response_end(const FieldList& trailers) {
  if (state_ != State::kAnswering) return;
  state_ = State::kDone;
  at_.loop.retire(std::move(call_));
  log_end("ok");
  listener_.on_response_end(trailers);
}

void Exchange::on_response_failed(const Error& error) {
  switch (state_) {
    case State::kSent:
      at_.loop.retire(std::move(call_));
      if (error.retryable && replay_possible_ && tries_ < at_.retry.tries_max) {
        retry(error);
      } else {
        answer(status_for(error), error.detail);
      }
      break;
    case State::kAnswering:
      state_ = State::kDone;
      at_.loop.retire(std::move(call_));
      log_end(error.detail);
      listener_.on_response_failed(error);
      break;
    case State::kDelayed:
    case State::kQueued:
    case State::kDone:
      break;
  }
}

void Exchange::on_request_body_taken(size_t count) {
  if (state_ != State::kSent && state_ != State::kAnswering) return;
  taken_this_try_ += count;
  if (taken_this_try_ <= taken_told_) return;
  const size_t news = taken_this_try_ - taken_told_;
  taken_told_ = taken_this_try_;
  listener_.on_request_body_taken(news);
}

void Exchange::retry(const Error& error) {
  at_.log.info("retry", {{"request", number_},
                         {"refused_by", worker_},
                         {"tries", uint64_t{tries_}},
                         {"reason", error.detail}});
  refused_by_.push_back(worker_number_);
  retry_timer_.start(at_.retry.retry_pause);
  wait_for_worker();
}

void Exchange::answer(int status, std::string_view reason) {
  if (state_ == State::kQueued) at_.queue.remove(*this);
  state_ = State::kDone;
  timer_.stop();
  retry_timer_.stop();
  at_.loop.retire(std::move(call_));
  status_ = status;
  log_end(reason);
  const std::string text = "ptth-dev-gateway: " + std::string(reason) + "\n";
  ResponseHead head;
  head.status = status;
  head.body = head_.method == "HEAD" ? BodyKind::kNone : BodyKind::kLength;
  head.content_length = text.size();
  head.fields.add("content-type", "text/plain");
  head.fields.add("content-length", std::to_string(text.size()));
  if (status == 503) head.fields.add("retry-after", "1");
  listener_.on_response_head(head);
  if (head.body == BodyKind::kLength) {
    listener_.on_response_body({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  listener_.on_response_end({});
}

void Exchange::log_end(std::string_view outcome) {
  at_.log.info("request", {{"request", number_},
                           {"method", head_.method},
                           {"authority", head_.authority},
                           {"path", head_.path},
                           {"status", status_},
                           {"worker", worker_},
                           {"tries", uint64_t{tries_}},
                           {"ms", at_.loop.now_ms() - started_ms_},
                           {"bytes_up", bytes_up_},
                           {"bytes_down", bytes_down_},
                           {"outcome", outcome}});
}

}  // namespace ptth::dev
