#include "agent/relay/http1_session.h"

#include "agent/relay/http1_request.h"
#include "agent/relay/relay_metrics.h"
#include "agent/relay/request_reader.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// How long a gateway may take to close its side after we have closed ours.
constexpr Milliseconds kLingerTime{1'000};
// Stalled exchanges are looked for this often within their time.
constexpr int kSweepsPerTimeout = 8;
// So much of a body leaves as one chunk.
constexpr size_t kChunkBytesMax = size_t{64} * 1024;

Http1Limits parser_limits(const SessionLimits& limits) {
  return {limits.header_list_bytes, limits.header_fields, limits.http1.chunk_extension_bytes};
}

}  // namespace

Http1Session::Http1Session(const SessionSurroundings& surroundings, SessionOptions options,
                           Session::Listener& listener)
    : loop_(surroundings.loop),
      stream_(surroundings.stream),
      origin_(surroundings.origin),
      metrics_(surroundings.metrics),
      options_(std::move(options)),
      listener_(listener),
      link_budget_{options_.limits.link_buffer_bytes, 0, &surroundings.budget},
      around_{surroundings.loop,
              surroundings.log,
              surroundings.metrics,
              link_budget_,
              *this,
              options_.gateway,
              options_.link_id,
              options_.limits.response_buffer_bytes,
              ReplayStyle::kAnswer},
      parser_(options_.scheme, parser_limits(options_.limits)),
      answer_(stream_, "1.1 " + options_.rules.worker_id),
      input_(link_budget_, metrics_),
      place_(surroundings.turn_share, [this] { advance(); }),
      advance_(loop_, [this] { advance(); }),
      deadline_(loop_, [this] { on_deadline(); }),
      sweep_(loop_, [this] { sweep_stalled(); }) {
  options_.rules.header_list_bytes = options_.limits.header_list_bytes;
  options_.rules.header_fields = options_.limits.header_fields;
  parser_.start();
  stream_.set_listener(this);
  deadline_.start(options_.limits.http1.settle_time);
  sweep_.start(options_.limits.progress_timeout / kSweepsPerTimeout);
}

Http1Session::~Http1Session() {
  stream_.set_listener(nullptr);
  close_exchange(Verdict::kAborted);
}

// --- Bytes from the gateway ---------------------------------------------------------------------

void Http1Session::on_bytes(Bytes bytes) {
  if (state_ == State::kLingering || state_ == State::kEnded) return;
  if (input_.empty()) parse(bytes);
  if (request_ != RequestState::kBroken) input_.keep(bytes);
  update_reading();
  advance_.schedule();
}

void Http1Session::on_end() {
  if (state_ == State::kLingering) return end(end_error_, Verdict::kGatewayClosed);
  end({ErrorKind::kClosed, Side::kGateway, "the gateway closed the connection", true},
      Verdict::kGatewayClosed);
}

void Http1Session::on_failed(const Error& error) {
  end(state_ == State::kLingering ? end_error_ : error, Verdict::kGatewayClosed);
}

void Http1Session::on_sent() {
  last_sent_ms_ = loop_.now_ms();
  advance_.schedule();
}

bool Http1Session::may_parse() const {
  if (state_ != State::kSettling && state_ != State::kServing) return false;
  switch (request_) {
    case RequestState::kIdle:
      return stream_.unsent_bytes() < options_.limits.output_buffer_bytes && place_.frames() > 0 &&
             place_.may_write();
    case RequestState::kHead:
      return true;
    case RequestState::kBody:
      return !upload_paused_;
    case RequestState::kComplete:
    case RequestState::kBroken:
      return false;
  }
  return false;
}

void Http1Session::parse(Bytes& input) {
  while (may_parse()) {
    switch (parser_.next(input)) {
      case Http1Event::kNeedMore:
        if (request_ == RequestState::kIdle && parser_.started()) on_partial_head();
        return;
      case Http1Event::kHead:
        begin_request();
        break;
      case Http1Event::kBody:
        on_body(parser_.body());
        break;
      case Http1Event::kEnd:
        on_request_end();
        break;
      case Http1Event::kFailed:
        on_malformed();
        break;
      case Http1Event::kInterimHead:
        CHECK_INVARIANT(false);
    }
  }
}

void Http1Session::parse_input() {
  if (input_.empty() || !may_parse()) return;
  Bytes rest = input_.front();
  parse(rest);
  input_.consume(input_.size() - rest.size());
}

void Http1Session::on_partial_head() {
  request_ = RequestState::kHead;
  deadline_.start(options_.limits.http1.head_timeout);
  if (state_ == State::kSettling) attach();
}

void Http1Session::begin_request() {
  deadline_.stop();
  if (state_ == State::kSettling) attach();
  place_.use_frames(1);
  request_ = RequestState::kBody;
  body_began_ = false;
  open_exchange({parser_.head().method == "HEAD", parser_.http_1_0()});
  options_.rules.via_entry = (parser_.http_1_0() ? "1.0 " : "1.1 ") + options_.rules.worker_id;
  RequestReader reader(options_.rules);
  Result<RequestHead> head = take_http1_head(parser_, reader);
  metrics_.fields_dropped.add(reader.fields_dropped());
  if (!head) {
    exchange_->describe(reader.description());
    exchange_->refuse(head.error());
    return;
  }
  head.value().gateway = options_.gateway;
  exchange_->start(std::move(head).value(), origin_);
}

void Http1Session::on_body(Bytes bytes) {
  body_began_ = true;
  if (!exchange_) {
    discarded_bytes_ += bytes.size();
    if (discarded_bytes_ > options_.limits.http1.discarded_bytes) leave();
    return;
  }
  exchange_->on_request_body(bytes);
  const size_t waiting = exchange_->request_bytes_waiting();
  const bool over_mark = is_over_budget() || waiting > options_.limits.stream_window_bytes;
  // Behind the end of its answer nobody waits for the rest.
  upload_paused_ = waiting > 0 && over_mark && !exchange_->response_complete();
}

void Http1Session::on_request_end() {
  request_ = RequestState::kComplete;
  if (exchange_) return exchange_->on_request_end(parser_.trailers());
  // It had been answered before.
  deadline_.stop();
  expect_request();
}

void Http1Session::expect_request() {
  parser_.start();
  request_ = RequestState::kIdle;
}

// Where the next request begins is unknown from here on, so nothing is answered after this one (RFC
// 9112 section 2.2).
void Http1Session::on_malformed() {
  const bool in_head = request_ == RequestState::kIdle || request_ == RequestState::kHead;
  const Error error = parser_.error();
  metrics_.session_errors.add();
  request_ = RequestState::kBroken;
  end_error_ = {ErrorKind::kClosed, Side::kGateway, error.detail, true};
  if (in_head) return refuse_unread(error, parser_.status());
  if (!exchange_) return leave();
  if (exchange_->given_up() || exchange_->response_complete()) return;
  if (answer_.has_head()) {
    exchange_->give_up(Verdict::kGatewayProtocol, error.detail);
  } else {
    exchange_->refuse(error, parser_.status());
  }
}

// A request whose head never became one.
void Http1Session::refuse_unread(const Error& error, int status) {
  request_ = RequestState::kBroken;
  deadline_.stop();
  if (state_ == State::kSettling) attach();
  open_exchange({parser_.head().method == "HEAD", false});
  exchange_->describe(describe_http1_request(parser_));
  exchange_->refuse(error, status);
}

void Http1Session::open_exchange(Http1Answer::Request request) {
  requests_ = requests_ == INT32_MAX ? 1 : requests_ + 1;
  exchange_ = std::make_unique<Exchange>(around_, requests_);
  answer_.start(request);
}

// The end of the connection is only noticed while we read: so we do, up to a bound, also when a
// request is complete.
void Http1Session::update_reading() {
  const bool is_full = upload_paused_ || input_.size() > options_.limits.http1.pipelined_bytes;
  const bool pause = is_full && state_ == State::kServing;
  if (pause == reading_paused_) return;
  reading_paused_ = pause;
  if (pause) {
    stream_.pause_reading();
  } else {
    stream_.resume_reading();
  }
}

// --- Bytes to the gateway -----------------------------------------------------------------------

void Http1Session::send_interim(Exchange& /*exchange*/, const ResponseHead& head) {
  answer_.write_interim(head);
}

void Http1Session::send_head(Exchange& exchange, const ResponseHead& head) {
  answer_.write_head(
      head, is_last(exchange, head.status) ? Http1Connection::kClose : Http1Connection::kKeepAlive);
  advance_.schedule();
}

void Http1Session::response_ready(Exchange& /*exchange*/) {
  advance_.schedule();
}

void Http1Session::reset(Exchange& /*exchange*/, uint32_t /*code*/) {
  advance_.schedule();
}

void Http1Session::return_credit(Exchange& exchange, size_t /*count*/) {
  if (!upload_paused_) return;
  const size_t waiting = exchange.request_bytes_waiting();
  const bool has_room = !is_over_budget() && waiting * 2 <= options_.limits.stream_window_bytes;
  if (waiting > 0 && !has_room) return;
  upload_paused_ = false;
  advance_.schedule();
}

// Whether the connection ends with this answer, as far as is known when its head leaves.
bool Http1Session::is_last(const Exchange& exchange, int status) const {
  if (request_ == RequestState::kBroken || !parser_.keep_alive_possible() || status == 408) {
    return true;
  }
  if (draining_ && !input_.has_marked()) return true;
  if (request_ == RequestState::kComplete) return false;
  // A gateway that was never asked for the body may send it or not: what comes next could be
  // either.
  if (parser_.expects_continue() && !answer_.asked_for_body() && !body_began_) return true;
  return exchange.response_complete() && parser_.head().body == BodyKind::kLength &&
         parser_.head().content_length > options_.limits.http1.discarded_bytes;
}

void Http1Session::advance() {
  if (state_ == State::kEnded) return;
  parse_input();
  while (write_answer())
    parse_input();
  if (state_ == State::kEnded) return;
  leave_if_drained();
  if (state_ == State::kLingering) input_.drop();
  update_reading();
  if (waits_for_turn()) place_.wait();
  if (std::exchange(load_told_, exchanges_in_flight()) != exchanges_in_flight()) {
    listener_.on_session_load_changed();
  }
}

bool Http1Session::waits_for_turn() const {
  if (exchange_) return !exchange_->response_front().empty() && !place_.may_write();
  const bool is_free = request_ == RequestState::kIdle && !input_.empty();
  return is_free && (place_.frames() == 0 || !place_.may_write());
}

// True when the answer is over, so that another request may be read.
bool Http1Session::write_answer() {
  if (!exchange_ || state_ == State::kLingering) return false;
  if (exchange_->given_up()) {
    break_off("an answer could not be completed, which only the end of the connection can tell");
    return false;
  }
  if (!answer_.has_head()) return false;
  while (!exchange_->response_front().empty() && !answer_.is_broken()) {
    const bool is_full = stream_.unsent_bytes() >= options_.limits.output_buffer_bytes;
    if (is_full || !place_.may_write()) return false;
    const Bytes front = exchange_->response_front();
    const Bytes part = front.first(std::min(front.size(), kChunkBytesMax));
    answer_.write_body(part);
    place_.use_output(part.size());
    exchange_->consume_response(part.size());
  }
  if (!exchange_->response_complete() && !answer_.is_broken()) return false;
  answer_.write_end(exchange_->response_trailers());
  if (answer_.is_broken()) {
    break_off("an answer was not what its head had said");
    return false;
  }
  on_answer_written();
  return true;
}

void Http1Session::on_answer_written() {
  close_exchange(Verdict::kOk);
  ++answered_;
  last_sent_ms_ = loop_.now_ms();
  if (answer_.announces_close() || request_ == RequestState::kBroken) return leave();
  if (request_ == RequestState::kComplete) return expect_request();
  discarded_bytes_ = 0;
  deadline_.start(options_.limits.http1.discard_timeout);
}

void Http1Session::close_exchange(Verdict verdict) {
  if (!exchange_) return;
  exchange_->finish(verdict);
  loop_.retire(std::move(exchange_));
  upload_paused_ = false;
}

// --- Time ---------------------------------------------------------------------------------------

void Http1Session::attach() {
  state_ = State::kServing;
  listener_.on_session_attached();
}

void Http1Session::on_deadline() {
  switch (state_) {
    case State::kSettling:
      attach();
      leave_if_drained();
      return;
    case State::kServing:
      if (request_ == RequestState::kHead) {
        end_error_ = {ErrorKind::kClosed, Side::kGateway, "a request's head did not come whole",
                      true};
        refuse_unread({ErrorKind::kTimeout, Side::kGateway, "the head did not come whole"}, 408);
      } else {
        leave();
      }
      return;
    case State::kLingering:
      if (stream_.unsent_bytes() == 0) return end(end_error_, Verdict::kGatewayClosed);
      deadline_.start(kLingerTime);
      return;
    case State::kEnded:
      return;
  }
}

void Http1Session::sweep_stalled() {
  sweep_.start(options_.limits.progress_timeout / kSweepsPerTimeout);
  const uint64_t now = loop_.now_ms();
  const auto patience = static_cast<uint64_t>(options_.limits.progress_timeout.count());
  if (exchange_) {
    if (exchange_->waits_for_gateway() && now - exchange_->last_progress_ms() >= patience) {
      exchange_->stall();
    }
  } else if (stream_.unsent_bytes() > 0 && now - last_sent_ms_ >= patience) {
    end({ErrorKind::kTimeout, Side::kGateway, "the gateway does not take an answer"},
        Verdict::kGatewayStalled);
  }
}

// --- The end ------------------------------------------------------------------------------------

void Http1Session::drain() {
  if (draining_ || state_ == State::kLingering || state_ == State::kEnded) return;
  draining_ = true;
  input_.mark();
  end_error_ = {ErrorKind::kDraining, Side::kLocal, "drained", true};
  leave_if_drained();
}

// Nothing that came is left without an answer. A request that crosses the end of an idle connection
// would be lost (RFC 9112 section 9.3.1: who sent it may not send it again unless it is
// idempotent), so the end waits for one; its answer says that it is the last.
void Http1Session::leave_if_drained() {
  const bool owes_nothing = !exchange_ && input_.empty() && request_ != RequestState::kHead;
  if (!draining_ || !owes_nothing) return;
  if (request_ != RequestState::kIdle) return leave();
  if (!deadline_.running()) deadline_.start(options_.limits.http1.drain_idle);
}

// A close while bytes of the gateway are unread becomes a TCP reset, which can take our last answer
// with it: say that we are done, and wait until the gateway has read everything.
void Http1Session::leave() {
  if (state_ == State::kLingering || state_ == State::kEnded) return;
  state_ = State::kLingering;
  if (end_error_.detail.empty()) {
    end_error_ = {ErrorKind::kClosed, Side::kGateway, "the connection has carried its last request",
                  true};
  }
  stream_.shutdown();
  deadline_.start(kLingerTime);
  advance_.schedule();
}

void Http1Session::abort() {
  if (state_ == State::kEnded) return;
  if (exchange_ && answer_.has_head()) stream_.break_off();
  end({ErrorKind::kDraining, Side::kLocal, "stopped", true}, Verdict::kAborted);
}

void Http1Session::break_off(std::string detail) {
  stream_.break_off();
  end({ErrorKind::kClosed, Side::kLocal, std::move(detail), true}, Verdict::kInternal);
}

void Http1Session::end(const Error& error, Verdict verdict_for_open_exchange) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  advance_.cancel();
  place_.stop_waiting();
  deadline_.stop();
  sweep_.stop();
  close_exchange(verdict_for_open_exchange);
  input_.drop();
  stream_.set_listener(nullptr);
  listener_.on_session_ended(error);
}

std::unique_ptr<Session> start_http1_session(const SessionSurroundings& surroundings,
                                             SessionOptions options, Session::Listener& listener) {
  return std::make_unique<Http1Session>(surroundings, std::move(options), listener);
}

}  // namespace ptth
