#include "agent/relay/http2_streams.h"

#include "agent/relay/http2_error_code.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// What a gateway passes on at once, whatever its user does.
constexpr uint64_t kBriefAnswerMax = uint64_t{8} * 1024;
// Requests above the capacity that are answered at once; with more open than these they are reset.
constexpr size_t kAnswersAboveCapacity = 32;
constexpr size_t kEarlyPrioritiesMax = 16;
// What the gateway gets to pass an answer on, before the rest of its request is called off.
constexpr Milliseconds kEarlyAnswerGrace{1'000};

}  // namespace

Http2Streams::Http2Streams(const Surroundings& surroundings, const SessionOptions& options)
    : loop_(surroundings.session.loop),
      stream_(surroundings.session.stream),
      origin_(surroundings.session.origin),
      metrics_(surroundings.session.metrics),
      guard_(surroundings.guard),
      place_(surroundings.place),
      engine_(surroundings.engine),
      owner_(surroundings.owner),
      options_(options),
      capacity_(options.capacity),
      link_budget_{options.limits.link_buffer_bytes, 0, &surroundings.session.budget},
      around_{loop_,           surroundings.session.log,
              metrics_,        link_budget_,
              *this,           options.gateway,
              options.link_id, options.limits.response_buffer_bytes,
              options.refusal},
      early_answers_(loop_, [this] { call_off_uploads(); }) {}

Http2Streams::~Http2Streams() {
  end_all(Verdict::kAborted);
}

Exchange* Http2Streams::find(int32_t stream_id) const {
  return static_cast<Exchange*>(engine_.stream_data(stream_id));
}

bool Http2Streams::is_over(int32_t stream_id) const {
  return stream_id <= last_stream_id_ && find(stream_id) == nullptr;
}

// --- Requests -----------------------------------------------------------------------------------

void Http2Streams::on_request_begin(int32_t stream_id) {
  last_stream_id_ = std::max(last_stream_id_, stream_id);
  if (owner_.intake() == Owner::Intake::kRefuse) {
    metrics_.streams_refused.add();
    reset_stream(stream_id, http2::kRefusedStream);
    return;
  }
  const bool is_full = exchanges_.size() >= capacity_;
  if (is_full) {
    ++refused_;
    guard_.note_refusal(loop_.now_ms());
  }
  const bool answers = options_.refusal == ReplayStyle::kAnswer &&
                       exchanges_.size() < capacity_ + kAnswersAboveCapacity;
  if (is_full && !answers) {
    metrics_.streams_refused.add();
    reset_stream(stream_id, http2::kRefusedStream);
    return;
  }
  open_exchange(stream_id).above_capacity = is_full;
  owner_.on_exchange_begun();
  reader_.emplace(options_.rules);
  reader_stream_id_ = stream_id;
}

Exchange& Http2Streams::open_exchange(int32_t stream_id) {
  auto exchange = std::make_unique<Exchange>(around_, stream_id);
  exchange->list_index = exchanges_.size();
  exchange->stream_window = options_.limits.stream_window_bytes;
  engine_.set_stream_data(stream_id, exchange.get());
  exchanges_.push_back(std::move(exchange));
  open_max_ = std::max(open_max_, exchanges_.size());
  return *exchanges_.back();
}

uint32_t Http2Streams::take_demand() {
  const size_t open_max = std::exchange(open_max_, exchanges_.size());
  return static_cast<uint32_t>(open_max) + std::exchange(refused_, 0);
}

void Http2Streams::on_field(int32_t stream_id, std::string_view name, std::string_view value) {
  if (find(stream_id) == nullptr) return;
  if (!reader_ || reader_stream_id_ != stream_id) {
    reader_.emplace(options_.rules);
    reader_stream_id_ = stream_id;
    reader_->begin_trailers();
  }
  reader_->add(name, value);
}

void Http2Streams::on_fields_end(int32_t stream_id, Nghttp2Server::Ending ending) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr || !reader_ || reader_stream_id_ != stream_id) return;
  take_fields(*exchange, ending);
  reader_.reset();
}

void Http2Streams::take_fields(Exchange& exchange, Nghttp2Server::Ending ending) {
  const bool is_head = !exchange.started() && !exchange.response_complete();
  if (is_head) reader_->end_head();
  const bool unfinished_trailers = !is_head && ending == Nghttp2Server::Ending::kBodyFollows;
  if (reader_->malformed() != nullptr || unfinished_trailers) {
    malformed(exchange,
              unfinished_trailers ? "trailers do not end the request" : reader_->malformed());
    return;
  }
  if (is_head) {
    begin_request(exchange, ending);
    return;
  }
  if (reader_->over_limit()) {
    exchange.refuse({ErrorKind::kTooLarge, Side::kGateway, "the trailers are over the limit"});
    return;
  }
  if (!exchange.body_is_whole()) {
    malformed(exchange, "the body is shorter than content-length");
    return;
  }
  exchange.on_request_end(reader_->trailers());
}

void Http2Streams::begin_request(Exchange& exchange, Nghttp2Server::Ending ending) {
  const bool is_whole = ending == Nghttp2Server::Ending::kEndOfRequest;
  Result<RequestHead> head = reader_->take_head(is_whole ? RequestReader::Ending::kEndOfRequest
                                                         : RequestReader::Ending::kBodyFollows);
  metrics_.fields_dropped.add(reader_->fields_dropped());
  if (!head) {
    exchange.describe(reader_->description());
    if (is_whole) exchange.on_request_end({});
    exchange.refuse(head.error());
    return;
  }
  if (exchange.above_capacity) {
    exchange.describe(std::move(head).value());
    if (is_whole) exchange.on_request_end({});
    exchange.refuse({ErrorKind::kOverload, Side::kLocal, "the link has its share open", true});
    return;
  }
  set_urgency(exchange.stream_id(), priority_of(head.value().fields));
  head.value().gateway = options_.gateway;
  exchange.defer(std::move(head).value());
  if (owner_.intake() != Owner::Intake::kDefer) received_.push_back(exchange.stream_id());
  if (!early_priorities_.empty()) apply_early_priority(exchange);
  if (is_whole) exchange.on_request_end({});
}

// RFC 9218 section 7: the frame outranks the field, and may come before the request.
void Http2Streams::on_priority_update(int32_t stream_id, std::string_view value) {
  const std::optional<Priority> priority = parse_priority(value);
  if (!priority || is_over(stream_id)) return;
  if (Exchange* exchange = find(stream_id)) {
    reprioritize(*exchange, *priority);
    return;
  }
  if (early_priorities_.size() >= kEarlyPrioritiesMax) {
    early_priorities_.erase(early_priorities_.begin());
  }
  early_priorities_.emplace_back(stream_id, *priority);
}

void Http2Streams::apply_early_priority(Exchange& exchange) {
  for (const auto& [stream_id, priority] : early_priorities_) {
    if (stream_id == exchange.stream_id()) reprioritize(exchange, priority);
  }
  std::erase_if(early_priorities_,
                [&](const auto& early) { return early.first <= exchange.stream_id(); });
}

// Its place before the origin, and that of its answer.
void Http2Streams::reprioritize(Exchange& exchange, const Priority& priority) {
  exchange.reprioritize(priority);
  set_urgency(exchange.stream_id(), priority);
}

void Http2Streams::set_urgency(int32_t stream_id, const Priority& priority) {
  engine_.set_urgency(stream_id, priority.urgency);
  const size_t bound = options_.limits.kernel_unsent_bytes;
  // Only now: it costs downloads some of their speed, for nothing while all are alike.
  if (priority.urgency == Priority{}.urgency || bound == 0) return;
  if (std::exchange(kernel_is_bound_, true)) return;
  stream_.bound_kernel_unsent(bound);
  metrics_.kernel_bound_links.add();
}

// RFC 9113 section 8.1.1.
void Http2Streams::malformed(Exchange& exchange, const char* reason) {
  metrics_.session_errors.add();
  guard_.note_error(loop_.now_ms());
  exchange.give_up(Verdict::kGatewayProtocol, reason);
  prepare_end(exchange);
  reset_stream(exchange.stream_id(), http2::kProtocolError);
}

void Http2Streams::on_data(int32_t stream_id, Bytes bytes) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr) {
    engine_.return_link_credit(bytes.size());
    return;
  }
  if (!exchange->body_fits(bytes.size())) {
    engine_.return_link_credit(bytes.size());
    malformed(*exchange, "the body is longer than content-length");
    return;
  }
  // The link's credit goes back at once, so that one exchange that stalls never starves the others;
  // only over budget it waits for the origin as the stream's credit does.
  if (link_budget_.exceeded()) {
    exchange->withheld_link_credit += bytes.size();
  } else {
    engine_.return_link_credit(bytes.size());
  }
  exchange->on_request_body(bytes);
}

void Http2Streams::on_request_end(int32_t stream_id) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr || exchange->request_ended()) return;
  if (!exchange->body_is_whole()) {
    malformed(*exchange, "the body is shorter than content-length");
    return;
  }
  exchange->on_request_end({});
}

void Http2Streams::return_credit(Exchange& exchange, size_t count) {
  if (exchange.upload_ends_ms == 0) {
    engine_.return_stream_credit(exchange.stream_id(), count);
    widen_window(exchange, count);
  }
  const size_t withheld = std::min(exchange.withheld_link_credit, count);
  if (withheld > 0) {
    exchange.withheld_link_credit -= withheld;
    engine_.return_link_credit(withheld);
  }
  owner_.schedule_output();
}

// The origin keeps pace: let a long path be filled.
void Http2Streams::widen_window(Exchange& exchange, size_t taken) {
  exchange.credit_since_widened += taken;
  const SessionLimits& limits = options_.limits;
  const bool keeps_pace = exchange.request_bytes_waiting() * 2 <= exchange.stream_window;
  if (exchange.credit_since_widened < exchange.stream_window || !keeps_pace ||
      exchange.stream_window >= limits.stream_window_bytes_max) {
    return;
  }
  exchange.credit_since_widened = 0;
  exchange.stream_window = std::min(exchange.stream_window * 2, limits.stream_window_bytes_max);
  engine_.widen_stream_window(exchange.stream_id(), exchange.stream_window);
}

// --- Answers ------------------------------------------------------------------------------------

void Http2Streams::send_interim(Exchange& exchange, const ResponseHead& head) {
  engine_.submit_interim(exchange.stream_id(), head);
  owner_.schedule_output();
}

void Http2Streams::send_head(Exchange& exchange, const ResponseHead& head) {
  engine_.submit_response(exchange.stream_id(), head);
  if (head.body == BodyKind::kNone) prepare_end(exchange);
  owner_.schedule_output();
}

void Http2Streams::response_ready(Exchange& exchange) {
  engine_.resume_response(exchange.stream_id());
  if (exchange.response_complete()) prepare_end(exchange);
  owner_.schedule_output();
}

size_t Http2Streams::response_available(int32_t stream_id, Nghttp2Server::ResponseEnd& end) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr) return 0;
  if (exchange->response_complete()) {
    end.is_complete = true;
    end.trailers = &exchange->response_trailers();
  }
  return exchange->response_front().size();
}

Nghttp2Server::Written Http2Streams::write_data(int32_t stream_id, Bytes frame_head, size_t count) {
  const bool is_full = stream_.unsent_bytes() >= options_.limits.output_buffer_bytes;
  if (is_full || !place_.may_write()) {
    return Nghttp2Server::Written::kOutputIsFull;
  }
  Exchange* exchange = find(stream_id);
  CHECK_INVARIANT(exchange != nullptr);
  uint8_t* headroom = exchange->response_headroom(frame_head.size());
  if (headroom != nullptr && count > 0) {
    std::copy(frame_head.begin(), frame_head.end(), headroom);
    stream_.write({headroom, frame_head.size() + count});
  } else {
    stream_.write(frame_head);
    if (count > 0) stream_.write(exchange->response_front().first(count));
  }
  if (count > 0) exchange->consume_response(count);
  place_.use_output(frame_head.size() + count);
  last_data_ms_ = loop_.now_ms();
  guard_.earn_data(count);
  return Nghttp2Server::Written::kYes;
}

void Http2Streams::on_response_sent(int32_t stream_id) {
  Exchange* const exchange = find(stream_id);
  if (exchange == nullptr || exchange->request_ended()) return;
  // The answer is whole, the rest of the request is not wanted (RFC 9113 section 8.1). But a
  // HAProxy that reads the answer together with RST_STREAM passes on neither: it gets the time to
  // end the stream itself, and no credit to send more.
  exchange->upload_ends_ms = loop_.now_ms() + static_cast<uint64_t>(kEarlyAnswerGrace.count());
  if (!early_answers_.running()) early_answers_.start(kEarlyAnswerGrace);
}

void Http2Streams::call_off_uploads() {
  const uint64_t now = loop_.now_ms();
  uint64_t next = UINT64_MAX;
  for (const auto& exchange : exchanges_) {
    if (exchange->upload_ends_ms == 0 || exchange->request_ended()) continue;
    if (exchange->upload_ends_ms <= now) {
      reset_stream(exchange->stream_id(), http2::kNoError);
    } else {
      next = std::min(next, exchange->upload_ends_ms);
    }
  }
  if (next != UINT64_MAX) early_answers_.start(Milliseconds(next - now));
  owner_.schedule_output();
}

// --- The end of a stream ------------------------------------------------------------------------

// SETTINGS overtake what is queued, and so reach the gateway before the end of the stream does.
void Http2Streams::prepare_end(Exchange& exchange) {
  if (std::exchange(exchange.end_prepared, true)) return;
  exchange.ends_briefly =
      exchange.request_ended() && exchange.response_bytes() <= kBriefAnswerMax &&
      engine_.has_credit(exchange.stream_id(), exchange.response_front().size());
  if (exchange.ends_briefly) ++ending_;
  owner_.on_exchange_ending(exchange.ends_briefly);
}

void Http2Streams::reset(Exchange& exchange, uint32_t code) {
  if (code == http2::kRefusedStream) metrics_.streams_refused.add();
  prepare_end(exchange);
  reset_stream(exchange.stream_id(), code);
  owner_.schedule_output();
}

void Http2Streams::reset_stream(int32_t stream_id, uint32_t code) {
  // Remembered from now on: what crosses our RST_STREAM may be in the bytes that are being read.
  own_resets_.add(stream_id);
  engine_.reset_stream(stream_id, code);
}

void Http2Streams::on_stream_reset_sent(int32_t stream_id) {
  // Not one of those that we asked for: the gateway made nghttp2 do it (CVE-2025-8671).
  if (own_resets_.contains(stream_id)) return;
  own_resets_.add(stream_id);
  metrics_.session_errors.add();
  guard_.note_error(loop_.now_ms());
}

void Http2Streams::on_stream_closed(int32_t stream_id, uint32_t code) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr) return;
  engine_.set_stream_data(stream_id, nullptr);
  Verdict verdict = Verdict::kOk;
  if (code == http2::kProtocolError) {
    verdict = Verdict::kGatewayProtocol;
  } else if (code != http2::kNoError) {
    verdict = Verdict::kGatewayReset;
  } else {
    guard_.earn_exchange();
  }
  exchange->finish(verdict);
  remove(*exchange);
  owner_.on_exchange_ended();
}

void Http2Streams::remove(Exchange& exchange) {
  if (exchange.ends_briefly) --ending_;
  const size_t index = exchange.list_index;
  loop_.retire(std::move(exchanges_[index]));
  if (index + 1 != exchanges_.size()) {
    exchanges_[index] = std::move(exchanges_.back());
    exchanges_[index]->list_index = index;
  }
  exchanges_.pop_back();
}

// --- All of them --------------------------------------------------------------------------------

void Http2Streams::give_up_stalled(Milliseconds patience) {
  const uint64_t now = loop_.now_ms();
  for (const auto& exchange : exchanges_) {
    const uint64_t idle = now - exchange->last_progress_ms();
    if (Milliseconds(idle) < patience || !exchange->waits_for_gateway()) continue;
    if (!is_outranked(*exchange, idle)) exchange->stall();
  }
}

// It waits for more urgent answers, which the gateway does take; not for the gateway.
bool Http2Streams::is_outranked(const Exchange& exchange, uint64_t idle_ms) const {
  const bool others_went_on = loop_.now_ms() - last_data_ms_ < idle_ms;
  return others_went_on && !exchange.response_front().empty() &&
         engine_.has_credit(exchange.stream_id(), 1);
}

// Requests that are reset as soon as they are sent (CVE-2023-44487) so never cost the origin
// anything.
void Http2Streams::start_received() {
  start(received_);
  received_.clear();
}

void Http2Streams::start_deferred(size_t count_max) {
  std::vector<int32_t> deferred;
  for (const auto& exchange : exchanges_)
    if (exchange->deferred()) deferred.push_back(exchange->stream_id());
  std::ranges::sort(deferred);
  deferred.resize(std::min(deferred.size(), count_max));
  start(deferred);
}

void Http2Streams::start(const std::vector<int32_t>& stream_ids) {
  for (const int32_t stream_id : stream_ids) {
    Exchange* const exchange = find(stream_id);
    if (exchange != nullptr && exchange->deferred()) exchange->start_deferred(origin_);
  }
}

void Http2Streams::refuse_deferred() {
  for (const auto& exchange : exchanges_) {
    if (!exchange->deferred()) continue;
    exchange->give_up(Verdict::kDraining, "sent elsewhere by the gateway");
    metrics_.streams_refused.add();
    reset_stream(exchange->stream_id(), http2::kRefusedStream);
  }
}

void Http2Streams::cancel_all() {
  refuse_deferred();
  for (const auto& exchange : exchanges_)
    if (!exchange->given_up()) reset_stream(exchange->stream_id(), http2::kCancel);
}

void Http2Streams::end_all(Verdict verdict_for_open_exchanges) {
  for (auto& exchange : exchanges_) {
    engine_.set_stream_data(exchange->stream_id(), nullptr);
    exchange->finish(verdict_for_open_exchanges);
    loop_.retire(std::move(exchange));
  }
  exchanges_.clear();
}

}  // namespace ptth
