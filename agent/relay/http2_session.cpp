#include "agent/relay/http2_session.h"

#include "agent/relay/budget.h"
#include "agent/relay/exchange.h"
#include "agent/relay/frame_guard.h"
#include "agent/relay/frame_scanner.h"
#include "agent/relay/nghttp2_server.h"
#include "agent/relay/own_resets.h"
#include "agent/relay/quiet_drain.h"
#include "agent/relay/relay_metrics.h"
#include "agent/relay/request_reader.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace ptth {

namespace {

// RFC 9113 section 7.
constexpr uint32_t kNoErrorCode = 0x0;
constexpr uint32_t kProtocolErrorCode = 0x1;
constexpr uint32_t kRefusedStreamCode = 0x7;
constexpr uint32_t kCancelCode = 0x8;
constexpr uint32_t kEnhanceYourCalmCode = 0xb;

// How long a gateway may take to close its side after we have closed ours.
constexpr Milliseconds kLingerTime{1'000};
// Fits every window that a gateway gives, and what is left of it.
constexpr uint64_t kBriefAnswerMax = uint64_t{8} * 1024;

// Stalled exchanges are looked for this often within their time.
constexpr int kSweepsPerTimeout = 8;

enum class SessionState {
  kAttaching,  // SETTINGS sent; the gateway's, or its acknowledgement, is missing.
  kServing,
  kDraining,  // New streams are refused, those in flight go on.
  kLeaving,   // GOAWAY is on its way; the end comes when it is out.
  kEnded,
};

class Session final : private QuietDrain::Actions,
                      public Http2Session,
                      private ByteStream::Listener,
                      private Nghttp2Server::Listener,
                      private ExchangeCarrier {
 public:
  Session(Loop& loop, ByteStream& stream, Origin& origin, Log& log, RelayMetrics& metrics,
          Budget& budget, Options options, Http2Session::Listener& listener)
      : loop_(loop),
        stream_(stream),
        origin_(origin),
        metrics_(metrics),
        options_(std::move(options)),
        listener_(listener),
        link_budget_{options_.limits.link_buffer_bytes, 0},
        around_{loop,
                log,
                metrics,
                budget,
                link_budget_,
                *this,
                options_.gateway,
                options_.link_id,
                options_.limits.response_buffer_bytes},
        guard_(options_.limits),
        engine_(*this, engine_options(options_)),
        produce_(loop, [this] { produce(); }),
        silence_(loop, [this] { on_silence(); }),
        sweep_(loop, [this] { sweep_stalled(); }),
        quiet_drain_(loop, options_.capacity, options_.limits.drain_hold, *this) {
    options_.rules.header_list_bytes = options_.limits.header_list_bytes;
    options_.rules.header_fields = options_.limits.header_fields;
    options_.rules.via_entry = "2.0 " + options_.rules.worker_id;
    stream_.set_listener(this);
    silence_.start(options_.limits.settings_timeout);
    sweep_.start(options_.limits.progress_timeout / kSweepsPerTimeout);
    produce_.schedule();
  }

  ~Session() override {
    stream_.set_listener(nullptr);
    while (!exchanges_.empty()) {
      Exchange& exchange = *exchanges_.back();
      exchange.finish(Verdict::kAborted);
      loop_.retire(std::move(exchanges_.back()));
      exchanges_.pop_back();
    }
  }

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&&) = delete;
  Session& operator=(Session&&) = delete;

  void drain() override;
  void abort() override;

  [[nodiscard]] size_t exchanges_in_flight() const override { return exchanges_.size(); }

 private:
  static Nghttp2Server::Options engine_options(const Options& options);

  // ByteStream::Listener
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // Nghttp2Server::Listener
  void on_frame_begin(const Nghttp2Server::FrameHead& frame) override;
  void on_request_begin(int32_t stream_id) override;
  void on_field(int32_t stream_id, std::string_view name, std::string_view value) override;
  void on_fields_end(int32_t stream_id, Nghttp2Server::Ending ending) override;
  void on_data(int32_t stream_id, Bytes bytes) override;
  void on_request_end(int32_t stream_id) override;
  void on_settings() override;
  void on_settings_ack() override;
  void on_goaway() override;
  void on_ping_ack() override;
  void on_reset_received() override;
  void on_invalid_frame() override;
  void on_stream_reset_sent(int32_t stream_id) override;
  void on_stream_closed(int32_t stream_id, uint32_t code) override;
  size_t response_available(int32_t stream_id, Nghttp2Server::ResponseEnd& end) override;
  Nghttp2Server::Written write_data(int32_t stream_id, Bytes frame_head, size_t count) override;
  void on_response_sent(int32_t stream_id) override;

  // ExchangeCarrier
  void send_interim(Exchange& exchange, const ResponseHead& head) override;
  void send_head(Exchange& exchange, const ResponseHead& head) override;
  void response_ready(Exchange& exchange) override;
  void reset(Exchange& exchange, uint32_t code) override;
  void return_credit(Exchange& exchange, size_t count) override;

  void scan_frames(Bytes bytes);
  void produce();
  void reset_stream(int32_t stream_id, uint32_t code);
  void take_fields(Exchange& exchange, Nghttp2Server::Ending ending);
  void begin_request(Exchange& exchange, RequestReader& reader, Nghttp2Server::Ending ending);
  void malformed(Exchange& exchange, const char* reason);
  void maybe_attached();
  void judge_gateway();
  void on_silence();
  void sweep_stalled();
  void maybe_leave();
  void refuse_deferred();
  void submit_ping();
  void prepare_end(Exchange& exchange);

  // QuietDrain::Actions
  void announce_limit(uint32_t streams) override;
  void send_probe() override;
  void start_oldest_deferred() override;
  void start_all_deferred() override;
  void leave_now() override;
  void leave();
  void leave_politely();
  void end(const Error& error, Verdict verdict_for_open_exchanges);
  void remove(Exchange& exchange);
  [[nodiscard]] Exchange* find(int32_t stream_id) const;

  Loop& loop_;
  ByteStream& stream_;
  Origin& origin_;
  RelayMetrics& metrics_;
  Options options_;
  Http2Session::Listener& listener_;
  SessionState state_ = SessionState::kAttaching;
  Budget link_budget_;
  ExchangeSurroundings around_;
  FrameGuard guard_;
  FrameScanner scanner_;
  OwnResets own_resets_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  // The stream whose HEADERS are being received: one at a time on a connection (RFC 9113
  // section 6.10).
  std::optional<RequestReader> reader_;
  int32_t reader_stream_id_ = 0;
  int32_t last_stream_id_ = 0;
  bool settings_received_ = false;
  bool settings_acknowledged_ = false;
  bool gateway_leaving_ = false;
  bool warned_off_ = false;
  bool ping_sent_ = false;
  bool drain_round_trip_ = false;
  bool reading_paused_ = false;
  bool is_lingering_ = false;
  // The answers to PINGs come in the order in which they were sent.
  uint64_t pings_unanswered_ = 0;
  std::optional<uint64_t> pings_until_probe_;
  uint64_t last_received_ms_ = 0;
  Error end_error_;
  Nghttp2Server engine_;
  EndOfTurn produce_;
  Timer silence_;
  Timer sweep_;
  QuietDrain quiet_drain_;
};

Nghttp2Server::Options Session::engine_options(const Options& options) {
  Nghttp2Server::Options engine;
  engine.max_concurrent_streams = options.capacity;
  engine.announce_streams_at_start = !options.capacity_in_second_settings;
  engine.stream_window_bytes = options.limits.stream_window_bytes;
  engine.link_window_bytes = options.limits.link_window_bytes;
  engine.response_via = "1.1 " + options.rules.worker_id;
  engine.header_list_bytes = options.limits.header_list_bytes;
  return engine;
}

Exchange* Session::find(int32_t stream_id) const {
  return static_cast<Exchange*>(engine_.stream_data(stream_id));
}

// --- Bytes from the gateway ---------------------------------------------------------------------

void Session::on_bytes(Bytes bytes) {
  if (state_ == SessionState::kEnded) return;
  last_received_ms_ = loop_.now_ms();
  scan_frames(bytes);
  const Result<void> received = engine_.receive(bytes);
  produce_.schedule();
  if (!received) {
    end_error_ = received.error();
    leave();
    return;
  }
  judge_gateway();
  // What we owe in control frames must not grow without bound while the gateway does not read.
  const size_t control_frames_max = 1000 + 4 * size_t{options_.capacity};
  if (!reading_paused_ && engine_.queued_frames() > control_frames_max) {
    reading_paused_ = true;
    stream_.pause_reading();
  }
}

// nghttp2 skips frames of unknown types without a word; they cost all the same.
void Session::scan_frames(Bytes bytes) {
  const uint32_t unknown = scanner_.count_unknown(bytes);
  for (uint32_t frame = 0; frame < unknown; ++frame)
    guard_.note_control_frame(loop_.now_ms());
}

void Session::on_end() {
  if (state_ == SessionState::kEnded) return;
  if (is_lingering_) {
    end(end_error_, Verdict::kGatewayClosed);
    return;
  }
  end({ErrorKind::kClosed, Side::kGateway, "the gateway closed the connection", true},
      Verdict::kGatewayClosed);
}

void Session::on_failed(const Error& error) {
  if (state_ == SessionState::kEnded) return;
  end(error, Verdict::kGatewayClosed);
}

void Session::on_frame_begin(const Nghttp2Server::FrameHead& frame) {
  const uint64_t now = loop_.now_ms();
  switch (frame.kind) {
    case Nghttp2Server::FrameKind::kData:
      if (frame.length == 0 && !frame.ends_stream) guard_.note_empty_frame(now);
      break;
    case Nghttp2Server::FrameKind::kHeaders: {
      const bool is_old = frame.stream_id <= last_stream_id_ && find(frame.stream_id) == nullptr;
      // nghttp2 would ignore it (RFC 9113 section 5.1.1). After our own RST_STREAM it may be
      // trailers that crossed.
      if (is_old && !own_resets_.contains(frame.stream_id)) {
        engine_.terminate(kProtocolErrorCode);
      }
      if (is_old) guard_.note_empty_frame(now);
      break;
    }
    case Nghttp2Server::FrameKind::kWindowUpdate:
      guard_.note_empty_frame(now);
      break;
    case Nghttp2Server::FrameKind::kReset:
      break;
    case Nghttp2Server::FrameKind::kControl:
      guard_.note_control_frame(now);
      break;
  }
}

void Session::on_request_begin(int32_t stream_id) {
  last_stream_id_ = std::max(last_stream_id_, stream_id);
  const bool full = exchanges_.size() >= options_.capacity;
  const bool draining =
      state_ == SessionState::kDraining && options_.drain_style == DrainStyle::kAnnounce;
  if (full || draining || state_ == SessionState::kLeaving) {
    metrics_.streams_refused.add();
    reset_stream(stream_id, kRefusedStreamCode);
    return;
  }
  auto exchange = std::make_unique<Exchange>(around_, stream_id);
  exchange->list_index = exchanges_.size();
  exchange->stream_window = options_.limits.stream_window_bytes;
  engine_.set_stream_data(stream_id, exchange.get());
  exchanges_.push_back(std::move(exchange));
  quiet_drain_.on_request(exchanges_.size());
  reader_.emplace(options_.rules);
  reader_stream_id_ = stream_id;
}

void Session::on_field(int32_t stream_id, std::string_view name, std::string_view value) {
  if (find(stream_id) == nullptr) return;
  if (!reader_ || reader_stream_id_ != stream_id) {
    reader_.emplace(options_.rules);
    reader_stream_id_ = stream_id;
    reader_->begin_trailers();
  }
  reader_->add(name, value);
}

void Session::on_fields_end(int32_t stream_id, Nghttp2Server::Ending ending) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr || !reader_ || reader_stream_id_ != stream_id) return;
  take_fields(*exchange, ending);
  reader_.reset();
}

void Session::take_fields(Exchange& exchange, Nghttp2Server::Ending ending) {
  const bool is_head = !exchange.started() && !exchange.response_complete();
  if (is_head) reader_->end_head();
  const bool unfinished_trailers = !is_head && ending == Nghttp2Server::Ending::kBodyFollows;
  if (reader_->malformed() != nullptr || unfinished_trailers) {
    malformed(exchange,
              unfinished_trailers ? "trailers do not end the request" : reader_->malformed());
    return;
  }
  if (is_head) {
    begin_request(exchange, *reader_, ending);
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

// RFC 9113 section 8.1.1.
void Session::malformed(Exchange& exchange, const char* reason) {
  metrics_.session_errors.add();
  guard_.note_error(loop_.now_ms());
  exchange.give_up(Verdict::kGatewayProtocol, reason);
  prepare_end(exchange);
  reset_stream(exchange.stream_id(), kProtocolErrorCode);
}

void Session::begin_request(Exchange& exchange, RequestReader& reader,
                            Nghttp2Server::Ending ending) {
  Result<RequestHead> head = reader.take_head(ending == Nghttp2Server::Ending::kEndOfRequest
                                                  ? RequestReader::Ending::kEndOfRequest
                                                  : RequestReader::Ending::kBodyFollows);
  metrics_.fields_dropped.add(reader.fields_dropped());
  if (!head) {
    exchange.describe(reader.description());
    if (ending == Nghttp2Server::Ending::kEndOfRequest) exchange.on_request_end({});
    exchange.refuse(head.error());
    return;
  }
  head.value().gateway = options_.gateway;
  if (quiet_drain_.holds()) {
    exchange.defer(std::move(head).value());
    if (ending == Nghttp2Server::Ending::kEndOfRequest) exchange.on_request_end({});
    return;
  }
  exchange.start(std::move(head).value(), origin_);
  if (ending == Nghttp2Server::Ending::kEndOfRequest) exchange.on_request_end({});
}

void Session::on_data(int32_t stream_id, Bytes bytes) {
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
  if (link_budget_.exceeded() || around_.process_budget.exceeded()) {
    exchange->withheld_link_credit += bytes.size();
  } else {
    engine_.return_link_credit(bytes.size());
  }
  exchange->on_request_body(bytes);
}

void Session::on_request_end(int32_t stream_id) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr || exchange->request_ended()) return;
  if (!exchange->body_is_whole()) {
    malformed(*exchange, "the body is shorter than content-length");
    return;
  }
  exchange->on_request_end({});
}

void Session::on_settings() {
  settings_received_ = true;
  maybe_attached();
}

void Session::on_settings_ack() {
  settings_acknowledged_ = true;
  maybe_attached();
}

void Session::maybe_attached() {
  if (state_ != SessionState::kAttaching || !settings_received_ || !settings_acknowledged_) return;
  state_ = SessionState::kServing;
  if (options_.capacity_in_second_settings) engine_.announce_streams(options_.capacity);
  silence_.start(options_.limits.ping_after);
  listener_.on_session_attached();
}

void Session::on_goaway() {
  if (gateway_leaving_) return;
  gateway_leaving_ = true;
  if (state_ == SessionState::kServing) listener_.on_session_leaving();
  maybe_leave();
}

void Session::on_reset_received() {
  metrics_.gateway_resets.add();
  guard_.note_reset(loop_.now_ms());
  quiet_drain_.on_gateway_reset();
}

void Session::on_invalid_frame() {
  metrics_.session_errors.add();
  guard_.note_error(loop_.now_ms());
}

void Session::on_stream_reset_sent(int32_t stream_id) {
  // Not one of those that we asked for: the gateway made nghttp2 do it (CVE-2025-8671).
  if (own_resets_.contains(stream_id)) return;
  own_resets_.add(stream_id);
  metrics_.session_errors.add();
  guard_.note_error(loop_.now_ms());
}

void Session::on_stream_closed(int32_t stream_id, uint32_t code) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr) return;
  engine_.set_stream_data(stream_id, nullptr);
  Verdict verdict = Verdict::kOk;
  if (code == kProtocolErrorCode) {
    verdict = Verdict::kGatewayProtocol;
  } else if (code != kNoErrorCode) {
    verdict = Verdict::kGatewayReset;
  } else {
    guard_.earn_exchange();
  }
  exchange->finish(verdict);
  remove(*exchange);
  quiet_drain_.on_end(exchanges_.size());
  maybe_leave();
}

void Session::judge_gateway() {
  if (state_ == SessionState::kLeaving || state_ == SessionState::kEnded) return;
  const FrameGuard::Judgement judgement = guard_.judge();
  if (judgement == FrameGuard::Judgement::kFine) return;
  if (judgement == FrameGuard::Judgement::kLeaveGracefully) {
    if (std::exchange(warned_off_, true)) return;
    around_.log.warn_limited("the gateway has used half of a frame budget: asked to dial anew",
                             options_.gateway, {{"link", options_.link_id}});
    engine_.announce_leaving();
    return;
  }
  metrics_.abuse_closes.add();
  end_error_ = {ErrorKind::kProtocol, Side::kGateway, "the gateway used up a frame budget"};
  engine_.terminate(kEnhanceYourCalmCode);
  leave();
}

void Session::reset_stream(int32_t stream_id, uint32_t code) {
  // Remembered from now on: what crosses our RST_STREAM may be in the bytes that are being read.
  own_resets_.add(stream_id);
  engine_.reset_stream(stream_id, code);
}

// --- Bytes to the gateway -----------------------------------------------------------------------

void Session::send_interim(Exchange& exchange, const ResponseHead& head) {
  engine_.submit_interim(exchange.stream_id(), head);
  produce_.schedule();
}

void Session::send_head(Exchange& exchange, const ResponseHead& head) {
  engine_.submit_response(exchange.stream_id(), head);
  if (head.body == BodyKind::kNone) prepare_end(exchange);
  produce_.schedule();
}

void Session::response_ready(Exchange& exchange) {
  engine_.resume_response(exchange.stream_id());
  if (exchange.response_complete()) prepare_end(exchange);
  produce_.schedule();
}

void Session::reset(Exchange& exchange, uint32_t code) {
  if (code == kRefusedStreamCode) metrics_.streams_refused.add();
  prepare_end(exchange);
  reset_stream(exchange.stream_id(), code);
  produce_.schedule();
}

void Session::return_credit(Exchange& exchange, size_t count) {
  engine_.return_stream_credit(exchange.stream_id(), count);
  // The origin keeps pace: let a long path be filled.
  exchange.credit_since_widened += count;
  const SessionLimits& limits = options_.limits;
  const bool keeps_pace = exchange.request_bytes_waiting() * 2 <= exchange.stream_window;
  if (exchange.credit_since_widened >= exchange.stream_window && keeps_pace &&
      exchange.stream_window < limits.stream_window_bytes_max) {
    exchange.credit_since_widened = 0;
    exchange.stream_window = std::min(exchange.stream_window * 2, limits.stream_window_bytes_max);
    engine_.widen_stream_window(exchange.stream_id(), exchange.stream_window);
  }
  const size_t withheld = std::min(exchange.withheld_link_credit, count);
  if (withheld > 0) {
    exchange.withheld_link_credit -= withheld;
    engine_.return_link_credit(withheld);
  }
  produce_.schedule();
}

size_t Session::response_available(int32_t stream_id, Nghttp2Server::ResponseEnd& end) {
  Exchange* exchange = find(stream_id);
  if (exchange == nullptr) return 0;
  if (exchange->response_complete()) {
    end.is_complete = true;
    end.trailers = &exchange->response_trailers();
  }
  return exchange->response_front().size();
}

Nghttp2Server::Written Session::write_data(int32_t stream_id, Bytes frame_head, size_t count) {
  if (stream_.unsent_bytes() >= options_.limits.output_buffer_bytes) {
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
  guard_.earn_data(count);
  return Nghttp2Server::Written::kYes;
}

void Session::on_response_sent(int32_t stream_id) {
  const Exchange* exchange = find(stream_id);
  // RFC 9113 section 8.1: the answer is whole, the rest of the request is not wanted.
  if (exchange != nullptr && !exchange->request_ended()) {
    reset_stream(stream_id, kNoErrorCode);
  }
}

void Session::produce() {
  if (state_ == SessionState::kEnded) return;
  while (stream_.unsent_bytes() < options_.limits.output_buffer_bytes) {
    const Bytes frame = engine_.next_frame();
    if (frame.empty()) break;
    stream_.write(frame);
  }
  if (reading_paused_ && engine_.queued_frames() < options_.capacity) {
    reading_paused_ = false;
    stream_.resume_reading();
  }
  if (engine_.finished() && state_ != SessionState::kLeaving) {
    if (end_error_.detail.empty()) {
      end_error_ = {ErrorKind::kProtocol, Side::kGateway, engine_.last_complaint()};
    }
    leave();
  }
  if (state_ == SessionState::kLeaving && engine_.queued_frames() == 0) leave_politely();
}

// A close while bytes of the gateway are unread becomes a TCP reset, which can take our last
// answers with it: say that we are done, in the write that carries the GOAWAY, and wait until the
// gateway has read everything.
void Session::leave_politely() {
  const bool was_attached = settings_received_ && settings_acknowledged_;
  if (end_error_.kind != ErrorKind::kDraining || !was_attached) {
    if (stream_.unsent_bytes() == 0) end(end_error_, Verdict::kGatewayClosed);
  } else if (!std::exchange(is_lingering_, true)) {
    stream_.shutdown();
    silence_.start(kLingerTime);
  }
}

void Session::on_sent() {
  if (engine_.wants_to_write() || state_ == SessionState::kLeaving || reading_paused_) {
    produce_.schedule();
  }
}

// --- Time ---------------------------------------------------------------------------------------

void Session::on_silence() {
  const SessionLimits& limits = options_.limits;
  if (is_lingering_ && stream_.unsent_bytes() > 0) {
    silence_.start(kLingerTime);
    return;
  }
  if (is_lingering_) {
    end(end_error_, Verdict::kGatewayClosed);
    return;
  }
  if (state_ == SessionState::kAttaching) {
    end({ErrorKind::kTimeout, Side::kGateway,
         "the gateway did not acknowledge our SETTINGS within " +
             std::to_string(limits.settings_timeout.count()) + " ms"},
        Verdict::kGatewayClosed);
    return;
  }
  const auto silent = Milliseconds(loop_.now_ms() - last_received_ms_);
  if (silent < limits.ping_after) {
    ping_sent_ = false;
    silence_.start(limits.ping_after - silent);
    return;
  }
  if (!ping_sent_) {
    ping_sent_ = true;
    submit_ping();
    silence_.start(limits.ping_timeout);
    return;
  }
  end({ErrorKind::kTimeout, Side::kGateway,
       "the gateway did not answer a PING within " + std::to_string(limits.ping_timeout.count()) +
           " ms"},
      Verdict::kGatewayClosed);
}

void Session::sweep_stalled() {
  const uint64_t now = loop_.now_ms();
  const auto patience = static_cast<uint64_t>(options_.limits.progress_timeout.count());
  for (const auto& exchange : exchanges_) {
    if (exchange->waits_for_gateway() && now - exchange->last_progress_ms() >= patience) {
      exchange->stall();
    }
  }
  sweep_.start(options_.limits.progress_timeout / kSweepsPerTimeout);
}

// --- The end ------------------------------------------------------------------------------------

void Session::drain() {
  if (state_ == SessionState::kAttaching) {
    end_error_ = {ErrorKind::kDraining, Side::kLocal, "drained", true};
    leave();
    return;
  }
  if (state_ != SessionState::kServing) return;
  end_error_ = {ErrorKind::kDraining, Side::kLocal, "drained", true};
  if (options_.drain_style == DrainStyle::kAnnounce && !gateway_leaving_) {
    // Requests on their way are still served; the PING's answer says that none is left on its way.
    drain_round_trip_ = true;
    engine_.announce_leaving();
    submit_ping();
    return;
  }
  state_ = SessionState::kDraining;
  if (options_.drain_style == DrainStyle::kHoldAndClose && !gateway_leaving_) {
    quiet_drain_.begin(exchanges_.size());
  } else {
    maybe_leave();
  }
}

void Session::announce_limit(uint32_t streams) {
  engine_.announce_streams(streams);
  produce_.schedule();
}

void Session::send_probe() {
  submit_ping();
  pings_until_probe_ = pings_unanswered_;
}

void Session::start_oldest_deferred() {
  Exchange* oldest = nullptr;
  for (const auto& exchange : exchanges_) {
    if (!exchange->deferred()) continue;
    if (oldest == nullptr || exchange->stream_id() < oldest->stream_id()) oldest = exchange.get();
  }
  if (oldest != nullptr) oldest->start_deferred(origin_);
}

void Session::start_all_deferred() {
  // By index: a start may add to the list's end, and ends nothing at once.
  for (size_t index = 0; index < exchanges_.size(); ++index)
    if (exchanges_[index]->deferred()) exchanges_[index]->start_deferred(origin_);
}

void Session::leave_now() {
  leave();
}

// Whatever the origin has not seen, the gateway can send elsewhere.
void Session::refuse_deferred() {
  for (const auto& exchange : exchanges_) {
    if (!exchange->deferred()) continue;
    exchange->give_up(Verdict::kDraining, "sent elsewhere by the gateway");
    metrics_.streams_refused.add();
    reset_stream(exchange->stream_id(), kRefusedStreamCode);
  }
}

// SETTINGS overtake what is queued, and so reach the gateway before the end of the stream does.
void Session::prepare_end(Exchange& exchange) {
  if (std::exchange(exchange.end_prepared, true)) return;
  quiet_drain_.before_end(exchange.response_bytes() <= kBriefAnswerMax);
}

void Session::submit_ping() {
  ++pings_unanswered_;
  engine_.submit_ping();
  produce_.schedule();
}

void Session::on_ping_ack() {
  ping_sent_ = false;
  if (pings_unanswered_ > 0) --pings_unanswered_;
  if (pings_until_probe_ && --*pings_until_probe_ == 0) {
    pings_until_probe_.reset();
    quiet_drain_.on_probe_answered();
  }
  if (!std::exchange(drain_round_trip_, false) || state_ != SessionState::kServing) return;
  state_ = SessionState::kDraining;
  engine_.announce_last_stream();
  produce_.schedule();
  maybe_leave();
}

void Session::maybe_leave() {
  if (!exchanges_.empty()) return;
  if (state_ == SessionState::kDraining) {
    if (quiet_drain_.active() && !gateway_leaving_) return;
    leave();
  } else if (state_ == SessionState::kServing && gateway_leaving_) {
    end_error_ = {ErrorKind::kClosed, Side::kGateway, "the gateway sent GOAWAY", true};
    leave();
  }
}

void Session::leave() {
  if (state_ == SessionState::kLeaving || state_ == SessionState::kEnded) return;
  state_ = SessionState::kLeaving;
  engine_.terminate(kNoErrorCode);
  produce_.schedule();
}

void Session::abort() {
  if (state_ == SessionState::kEnded) return;
  refuse_deferred();
  for (const auto& exchange : exchanges_)
    if (!exchange->given_up()) reset_stream(exchange->stream_id(), kCancelCode);
  engine_.terminate(kNoErrorCode);
  produce();
  end({ErrorKind::kDraining, Side::kLocal, "stopped", true}, Verdict::kAborted);
}

void Session::end(const Error& error, Verdict verdict_for_open_exchanges) {
  if (state_ == SessionState::kEnded) return;
  const Error reason = error;
  state_ = SessionState::kEnded;
  produce_.cancel();
  silence_.stop();
  sweep_.stop();
  quiet_drain_.stop();
  for (auto& exchange : exchanges_) {
    engine_.set_stream_data(exchange->stream_id(), nullptr);
    exchange->finish(verdict_for_open_exchanges);
    loop_.retire(std::move(exchange));
  }
  exchanges_.clear();
  stream_.set_listener(nullptr);
  listener_.on_session_ended(reason);
}

void Session::remove(Exchange& exchange) {
  const size_t index = exchange.list_index;
  loop_.retire(std::move(exchanges_[index]));
  if (index + 1 != exchanges_.size()) {
    exchanges_[index] = std::move(exchanges_.back());
    exchanges_[index]->list_index = index;
  }
  exchanges_.pop_back();
}

}  // namespace

std::unique_ptr<Http2Session> Http2Session::start(Loop& loop, ByteStream& stream, Origin& origin,
                                                  Log& log, RelayMetrics& metrics, Budget& budget,
                                                  Options options, Listener& listener) {
  return std::make_unique<Session>(loop, stream, origin, log, metrics, budget, std::move(options),
                                   listener);
}

}  // namespace ptth
