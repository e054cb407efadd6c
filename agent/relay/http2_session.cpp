#include "agent/relay/http2_session.h"

#include "agent/relay/budget.h"
#include "agent/relay/frame_guard.h"
#include "agent/relay/frame_scanner.h"
#include "agent/relay/http2_error_code.h"
#include "agent/relay/http2_streams.h"
#include "agent/relay/liveness.h"
#include "agent/relay/nghttp2_server.h"
#include "agent/relay/quiet_drain.h"
#include "agent/relay/relay_metrics.h"

#include <optional>
#include <string>
#include <utility>

namespace ptth {

namespace {

// How long a gateway may take to close its side after we have closed ours.
constexpr Milliseconds kLingerTime{1'000};
// Stalled exchanges are looked for this often within their time.
constexpr int kSweepsPerTimeout = 8;

enum class SessionState {
  kAttaching,  // SETTINGS sent; the gateway's, or its acknowledgement, is missing.
  kServing,
  kDraining,   // New streams are refused or wait, those in flight go on.
  kLeaving,    // GOAWAY is on its way; the end comes when it is out.
  kLingering,  // It is out, and so is our end of the stream; the gateway's is awaited.
  kEnded,
};

class Http2Session final : public Session,
                           private ByteStream::Listener,
                           private Nghttp2Server::LinkListener,
                           private Http2Streams::Owner,
                           private QuietDrain::Actions,
                           private Liveness::Actions {
 public:
  Http2Session(const SessionSurroundings& around, SessionOptions options,
               Session::Listener& listener)
      : loop_(around.loop),
        stream_(around.stream),
        log_(around.log),
        metrics_(around.metrics),
        options_(completed(std::move(options))),
        listener_(listener),
        guard_(options_.limits),
        engine_(*this, streams_, engine_options(options_)),
        streams_({around, guard_, engine_, *this}, options_),
        produce_(loop_, [this] { produce(); }),
        deadline_(loop_, [this] { on_deadline(); }),
        sweep_(loop_, [this] { sweep_stalled(); }),
        liveness_(loop_, options_.limits.ping_after, options_.limits.ping_timeout, *this),
        quiet_drain_(loop_, options_.capacity, options_.limits.drain_hold, *this) {
    stream_.set_listener(this);
    deadline_.start(options_.limits.settings_timeout);
    sweep_.start(options_.limits.progress_timeout / kSweepsPerTimeout);
    produce_.schedule();
  }

  ~Http2Session() override { stream_.set_listener(nullptr); }

  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;
  Http2Session(Http2Session&&) = delete;
  Http2Session& operator=(Http2Session&&) = delete;

  void drain() override;
  void abort() override;

  [[nodiscard]] size_t exchanges_in_flight() const override { return streams_.open(); }

 private:
  static SessionOptions completed(SessionOptions options);
  static Nghttp2Server::Options engine_options(const SessionOptions& options);

  // ByteStream::Listener
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // Nghttp2Server::LinkListener
  void on_frame_begin(const Nghttp2Server::FrameHead& frame) override;
  void on_settings() override;
  void on_settings_ack() override;
  void on_goaway() override;
  void on_ping_ack() override;
  void on_reset_received() override;
  void on_invalid_frame() override;

  // Http2Streams::Owner
  [[nodiscard]] Intake intake() const override;

  void on_exchange_begun(size_t open) override { quiet_drain_.on_request(open); }

  void on_exchange_ending(bool is_brief) override { quiet_drain_.before_end(is_brief); }

  void on_exchange_ended(size_t open) override;

  void schedule_output() override { produce_.schedule(); }

  // QuietDrain::Actions
  void announce_limit(uint32_t streams) override;
  void send_probe() override;

  void start_oldest_deferred() override { streams_.start_oldest_deferred(); }

  void start_all_deferred() override { streams_.start_all_deferred(); }

  void leave_now() override { leave(); }

  // Liveness::Actions
  void send_ping() override { submit_ping(); }

  void on_dead() override;

  [[nodiscard]] bool is_leaving() const { return state_ >= SessionState::kLeaving; }

  void scan_frames(Bytes bytes);
  void judge_gateway();
  void on_headers(int32_t stream_id);
  void maybe_attached();
  void produce();
  void limit_what_we_owe();
  void submit_ping();
  void on_deadline();
  void sweep_stalled();
  void begin_draining();
  void maybe_leave();
  void leave();
  void finish_leaving();
  void end(const Error& error, Verdict verdict_for_open_exchanges);

  Loop& loop_;
  ByteStream& stream_;
  Log& log_;
  RelayMetrics& metrics_;
  const SessionOptions options_;
  Session::Listener& listener_;
  SessionState state_ = SessionState::kAttaching;
  bool settings_received_ = false;
  bool settings_acknowledged_ = false;
  bool gateway_leaving_ = false;
  bool warned_off_ = false;
  bool drain_round_trip_ = false;
  bool reading_paused_ = false;
  // The answers to PINGs come in the order in which they were sent.
  uint64_t pings_unanswered_ = 0;
  std::optional<uint64_t> pings_until_probe_;
  Error end_error_;
  FrameGuard guard_;
  FrameScanner scanner_;
  Nghttp2Server engine_;
  Http2Streams streams_;
  EndOfTurn produce_;
  Timer deadline_;  // For attaching, and for lingering.
  Timer sweep_;
  Liveness liveness_;
  QuietDrain quiet_drain_;
};

SessionOptions Http2Session::completed(SessionOptions options) {
  options.rules.header_list_bytes = options.limits.header_list_bytes;
  options.rules.header_fields = options.limits.header_fields;
  options.rules.via_entry = "2.0 " + options.rules.worker_id;
  return options;
}

Nghttp2Server::Options Http2Session::engine_options(const SessionOptions& options) {
  Nghttp2Server::Options engine;
  engine.max_concurrent_streams = options.capacity;
  engine.announce_streams_at_start = !options.capacity_in_second_settings;
  engine.stream_window_bytes = options.limits.stream_window_bytes;
  engine.link_window_bytes = options.limits.link_window_bytes;
  engine.response_via = "1.1 " + options.rules.worker_id;
  engine.header_list_bytes = options.limits.header_list_bytes;
  engine.origins = options.origin_frame;
  return engine;
}

// --- Bytes from the gateway ---------------------------------------------------------------------

void Http2Session::on_bytes(Bytes bytes) {
  if (state_ == SessionState::kEnded) return;
  liveness_.note_bytes();
  scan_frames(bytes);
  const Result<void> received = engine_.receive(bytes);
  produce_.schedule();
  if (!received) {
    end_error_ = received.error();
    leave();
    return;
  }
  judge_gateway();
  limit_what_we_owe();
}

// Answers to control frames must not grow without bound while the gateway does not read.
void Http2Session::limit_what_we_owe() {
  const size_t control_frames_max = 1000 + 4 * size_t{options_.capacity};
  if (reading_paused_ || engine_.queued_frames() <= control_frames_max) return;
  reading_paused_ = true;
  stream_.pause_reading();
}

// nghttp2 skips frames of unknown types without a word; they cost all the same.
void Http2Session::scan_frames(Bytes bytes) {
  const uint32_t unknown = scanner_.count_unknown(bytes);
  for (uint32_t frame = 0; frame < unknown; ++frame)
    guard_.note_control_frame(loop_.now_ms());
}

void Http2Session::on_end() {
  if (state_ == SessionState::kEnded) return;
  const Error closed{ErrorKind::kClosed, Side::kGateway, "the gateway closed the connection", true};
  end(state_ == SessionState::kLingering ? end_error_ : closed, Verdict::kGatewayClosed);
}

void Http2Session::on_failed(const Error& error) {
  if (state_ == SessionState::kEnded) return;
  end(error, Verdict::kGatewayClosed);
}

void Http2Session::on_frame_begin(const Nghttp2Server::FrameHead& frame) {
  const uint64_t now = loop_.now_ms();
  switch (frame.kind) {
    case Nghttp2Server::FrameKind::kData:
      if (frame.length == 0 && !frame.ends_stream) guard_.note_empty_frame(now);
      break;
    case Nghttp2Server::FrameKind::kHeaders:
      on_headers(frame.stream_id);
      break;
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

void Http2Session::on_headers(int32_t stream_id) {
  if (!streams_.is_over(stream_id)) return;
  // nghttp2 would ignore it (RFC 9113 section 5.1.1). After our own RST_STREAM it may be trailers
  // that crossed.
  if (!streams_.is_reset_by_us(stream_id)) engine_.terminate(http2::kProtocolError);
  guard_.note_empty_frame(loop_.now_ms());
}

void Http2Session::on_settings() {
  settings_received_ = true;
  maybe_attached();
}

void Http2Session::on_settings_ack() {
  settings_acknowledged_ = true;
  maybe_attached();
}

void Http2Session::maybe_attached() {
  if (state_ != SessionState::kAttaching || !settings_received_ || !settings_acknowledged_) return;
  state_ = SessionState::kServing;
  if (options_.capacity_in_second_settings) engine_.announce_streams(options_.capacity);
  deadline_.stop();
  liveness_.begin();
  listener_.on_session_attached();
}

void Http2Session::on_goaway() {
  if (gateway_leaving_) return;
  gateway_leaving_ = true;
  if (state_ == SessionState::kServing) listener_.on_session_leaving();
  maybe_leave();
}

void Http2Session::on_reset_received() {
  metrics_.gateway_resets.add();
  guard_.note_reset(loop_.now_ms());
  quiet_drain_.on_gateway_reset();
}

void Http2Session::on_invalid_frame() {
  metrics_.session_errors.add();
  guard_.note_error(loop_.now_ms());
}

void Http2Session::judge_gateway() {
  if (is_leaving()) return;
  const FrameGuard::Judgement judgement = guard_.judge();
  if (judgement == FrameGuard::Judgement::kFine) return;
  if (judgement == FrameGuard::Judgement::kLeaveGracefully) {
    if (std::exchange(warned_off_, true)) return;
    log_.warn_limited("the gateway has used half of a frame budget: asked to dial anew",
                      options_.gateway, {{"link", options_.link_id}});
    engine_.announce_leaving();
    return;
  }
  metrics_.abuse_closes.add();
  end_error_ = {ErrorKind::kProtocol, Side::kGateway, "the gateway used up a frame budget"};
  engine_.terminate(http2::kEnhanceYourCalm);
  leave();
}

// --- Bytes to the gateway -----------------------------------------------------------------------

void Http2Session::produce() {
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
  if (engine_.finished() && !is_leaving()) {
    if (end_error_.detail.empty()) {
      end_error_ = {ErrorKind::kProtocol, Side::kGateway, engine_.last_complaint()};
    }
    leave();
  }
  if (state_ == SessionState::kLeaving && engine_.queued_frames() == 0) finish_leaving();
}

void Http2Session::on_sent() {
  if (engine_.wants_to_write() || is_leaving() || reading_paused_) {
    produce_.schedule();
  }
}

// --- Time ---------------------------------------------------------------------------------------

void Http2Session::on_deadline() {
  if (state_ == SessionState::kLingering && stream_.unsent_bytes() > 0) {
    deadline_.start(kLingerTime);
  } else if (state_ == SessionState::kAttaching) {
    end({ErrorKind::kTimeout, Side::kGateway,
         "the gateway did not acknowledge our SETTINGS within " +
             std::to_string(options_.limits.settings_timeout.count()) + " ms"},
        Verdict::kGatewayClosed);
  } else {
    end(end_error_, Verdict::kGatewayClosed);
  }
}

void Http2Session::on_dead() {
  end({ErrorKind::kTimeout, Side::kGateway,
       "the gateway did not answer a PING within " +
           std::to_string(options_.limits.ping_timeout.count()) + " ms"},
      Verdict::kGatewayClosed);
}

void Http2Session::sweep_stalled() {
  streams_.give_up_stalled(options_.limits.progress_timeout);
  sweep_.start(options_.limits.progress_timeout / kSweepsPerTimeout);
}

// --- The end ------------------------------------------------------------------------------------

Http2Streams::Owner::Intake Http2Session::intake() const {
  const bool refuses =
      state_ == SessionState::kDraining && options_.drain_style == DrainStyle::kAnnounce;
  if (refuses || is_leaving()) return Intake::kRefuse;
  return quiet_drain_.holds() ? Intake::kDefer : Intake::kStart;
}

void Http2Session::drain() {
  if (state_ != SessionState::kAttaching && state_ != SessionState::kServing) return;
  end_error_ = {ErrorKind::kDraining, Side::kLocal, "drained", true};
  if (state_ == SessionState::kAttaching) {
    leave();
  } else {
    begin_draining();
  }
}

void Http2Session::begin_draining() {
  if (options_.drain_style == DrainStyle::kAnnounce && !gateway_leaving_) {
    // Requests on their way are still served; the PING's answer says that none is left on its way.
    drain_round_trip_ = true;
    engine_.announce_leaving();
    submit_ping();
    return;
  }
  state_ = SessionState::kDraining;
  if (options_.drain_style == DrainStyle::kHoldAndClose && !gateway_leaving_) {
    quiet_drain_.begin(streams_.open());
  } else {
    maybe_leave();
  }
}

void Http2Session::announce_limit(uint32_t streams) {
  engine_.announce_streams(streams);
  produce_.schedule();
}

void Http2Session::send_probe() {
  submit_ping();
  pings_until_probe_ = pings_unanswered_;
}

void Http2Session::submit_ping() {
  ++pings_unanswered_;
  engine_.submit_ping();
  produce_.schedule();
}

void Http2Session::on_ping_ack() {
  liveness_.note_ping_answered();
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

void Http2Session::on_exchange_ended(size_t open) {
  quiet_drain_.on_end(open);
  maybe_leave();
}

void Http2Session::maybe_leave() {
  if (streams_.open() > 0) return;
  if (state_ == SessionState::kDraining) {
    if (quiet_drain_.active() && !gateway_leaving_) return;
    leave();
  } else if (state_ == SessionState::kServing && gateway_leaving_) {
    end_error_ = {ErrorKind::kClosed, Side::kGateway, "the gateway sent GOAWAY", true};
    leave();
  }
}

void Http2Session::leave() {
  if (is_leaving()) return;
  state_ = SessionState::kLeaving;
  engine_.terminate(http2::kNoError);
  produce_.schedule();
}

// A close while bytes of the gateway are unread becomes a TCP reset, which can take our last
// answers with it: say that we are done, in the write that carries the GOAWAY, and wait until the
// gateway has read everything.
void Http2Session::finish_leaving() {
  const bool was_attached = settings_received_ && settings_acknowledged_;
  if (end_error_.kind != ErrorKind::kDraining || !was_attached) {
    if (stream_.unsent_bytes() == 0) end(end_error_, Verdict::kGatewayClosed);
    return;
  }
  state_ = SessionState::kLingering;
  stream_.shutdown();
  liveness_.stop();
  deadline_.start(kLingerTime);
}

void Http2Session::abort() {
  if (state_ == SessionState::kEnded) return;
  streams_.cancel_all();
  engine_.terminate(http2::kNoError);
  produce();
  end({ErrorKind::kDraining, Side::kLocal, "stopped", true}, Verdict::kAborted);
}

void Http2Session::end(const Error& error, Verdict verdict_for_open_exchanges) {
  if (state_ == SessionState::kEnded) return;
  state_ = SessionState::kEnded;
  produce_.cancel();
  deadline_.stop();
  sweep_.stop();
  liveness_.stop();
  quiet_drain_.stop();
  streams_.end_all(verdict_for_open_exchanges);
  stream_.set_listener(nullptr);
  listener_.on_session_ended(error);
}

}  // namespace

std::unique_ptr<Session> start_http2_session(const SessionSurroundings& surroundings,
                                             SessionOptions options, Session::Listener& listener) {
  return std::make_unique<Http2Session>(surroundings, std::move(options), listener);
}

}  // namespace ptth
