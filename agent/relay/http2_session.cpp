#include "agent/relay/http2_session.h"

#include "agent/relay/http2_error_code.h"
#include "agent/relay/relay_metrics.h"

#include <string>
#include <utility>

namespace ptth {

namespace {

// How long a gateway may take to close its side after we have closed ours.
constexpr Milliseconds kLingerTime{1'000};
// Stalled exchanges are looked for this often within their time.
constexpr int kSweepsPerTimeout = 8;

}  // namespace

Http2Session::Http2Session(const SessionSurroundings& around, SessionOptions options,
                           Session::Listener& listener)
    : loop_(around.loop),
      stream_(around.stream),
      log_(around.log),
      metrics_(around.metrics),
      options_(completed(std::move(options))),
      listener_(listener),
      share_(options_.capacity, options_.drain_style),
      guard_(options_.limits),
      place_(around.turn_share, [this] { on_turn(); }),
      engine_(*this, streams_, engine_options(options_)),
      streams_({around, guard_, place_, engine_, *this}, options_),
      held_input_(streams_.budget(), metrics_),
      produce_(loop_, [this] { produce(); }),
      deadline_(loop_, [this] { on_deadline(); }),
      sweep_(loop_, [this] { sweep_stalled(); }),
      liveness_(loop_, options_.limits.ping_after, options_.limits.ping_timeout, *this),
      quiet_drain_(loop_, options_.limits.drain_hold, *this) {
  stream_.set_listener(this);
  deadline_.start(options_.limits.settings_timeout);
  sweep_.start(options_.limits.progress_timeout / kSweepsPerTimeout);
  produce_.schedule();
}

Http2Session::~Http2Session() {
  stream_.set_listener(nullptr);
}

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
  if (state_ == State::kEnded) return;
  liveness_.note_bytes();
  if (held_input_.empty()) bytes = bytes.subspan(take_in(bytes));
  held_input_.keep(bytes);
  update_reading();
}

// As much as our share of the turn allows; how much that was.
size_t Http2Session::take_in(Bytes bytes) {
  const FrameScanner::Scanned scanned = scanner_.scan(bytes, place_.frames());
  place_.use_frames(scanned.frames);
  // nghttp2 skips frames of unknown types without a word; they cost all the same.
  for (uint32_t frame = 0; frame < scanned.unknown; ++frame)
    guard_.note_control_frame(loop_.now_ms());
  const Result<void> received = engine_.receive(bytes.first(scanned.bytes));
  streams_.start_received();
  produce_.schedule();
  if (!received) {
    end_error_ = received.error();
    leave();
    return bytes.size();
  }
  judge_gateway();
  limit_what_we_owe();
  return scanned.bytes;
}

void Http2Session::on_turn() {
  if (!owes_too_much_ && !held_input_.empty()) take_held_input();
  produce();
}

void Http2Session::take_held_input() {
  held_input_.consume(take_in(held_input_.front()));
  update_reading();
}

void Http2Session::update_reading() {
  if (!held_input_.empty() && !owes_too_much_) place_.wait();
  const bool pause = owes_too_much_ || !held_input_.empty();
  if (std::exchange(reading_paused_, pause) == pause) return;
  if (pause) {
    stream_.pause_reading();
  } else {
    stream_.resume_reading();
  }
}

// Answers to control frames must not grow without bound while the gateway does not read.
void Http2Session::limit_what_we_owe() {
  const size_t control_frames_max = 1000 + 4 * size_t{streams_.capacity()};
  if (engine_.queued_frames() > control_frames_max) owes_too_much_ = true;
}

void Http2Session::on_end() {
  if (state_ == State::kEnded) return;
  const Error closed{ErrorKind::kClosed, Side::kGateway, "the gateway closed the connection", true};
  end(state_ == State::kLingering ? end_error_ : closed, Verdict::kGatewayClosed);
}

void Http2Session::on_failed(const Error& error) {
  if (state_ == State::kEnded) return;
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
  const bool is_first = !std::exchange(settings_received_, true);
  if (is_first && drains_when_attached_) deadline_.start(options_.limits.settings_timeout);
  maybe_attached();
}

void Http2Session::on_settings_ack() {
  settings_acknowledged_ = true;
  share_.note_acknowledged();
  if (share_.all_acknowledged()) quiet_drain_.on_limit_known();
  streams_.set_capacity(share_.enforced());
  maybe_attached();
}

void Http2Session::maybe_attached() {
  if (state_ != State::kAttaching || !settings_received_ || !settings_acknowledged_) return;
  state_ = State::kServing;
  if (options_.capacity_in_second_settings) announce_limit(share_.announced());
  announce_capacity();
  deadline_.stop();
  liveness_.begin();
  listener_.on_session_attached();
  if (drains_when_attached_) begin_draining();
}

void Http2Session::on_goaway() {
  if (gateway_leaving_) return;
  gateway_leaving_ = true;
  if (state_ == State::kServing) listener_.on_session_leaving();
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
    log_.warn_limited(
        "the gateway has used three quarters of a frame budget: asked to leave the link",
        options_.gateway, {{"link", options_.link_id}});
    engine_.announce_leaving();
    return;
  }
  metrics_.abuse_closes.add();
  end_error_ = {ErrorKind::kAbuse, Side::kGateway, "the gateway used up a frame budget"};
  engine_.terminate(http2::kEnhanceYourCalm);
  leave();
}

void Http2Session::set_capacity(uint32_t capacity) {
  share_.want(capacity);
  if (state_ == State::kServing) announce_capacity();
}

void Http2Session::announce_capacity() {
  const auto limit = share_.next(streams_.open());
  if (!limit) return;
  streams_.set_capacity(share_.enforced());
  announce_limit(*limit);
}

// --- Bytes to the gateway -----------------------------------------------------------------------

void Http2Session::write_frames() {
  const size_t unsent_max = options_.limits.output_buffer_bytes;
  while (stream_.unsent_bytes() < unsent_max && (aborting_ || place_.may_write())) {
    const Bytes frame = engine_.next_frame();
    if (frame.empty()) break;
    stream_.write(frame);
    place_.use_output(frame.size());
  }
  if (!place_.may_write() && engine_.wants_to_write()) place_.wait();
}

void Http2Session::produce() {
  if (state_ == State::kEnded) return;
  if (held_input_.empty()) quiet_drain_.on_turn_ending();
  write_frames();
  if (owes_too_much_ && engine_.queued_frames() < streams_.capacity()) {
    owes_too_much_ = false;
    update_reading();
  }
  if (engine_.finished() && !is_leaving()) {
    if (end_error_.detail.empty()) {
      end_error_ = {ErrorKind::kProtocol, Side::kGateway, engine_.last_complaint()};
    }
    leave();
  }
  if (state_ == State::kLeaving && engine_.queued_frames() == 0) finish_leaving();
}

void Http2Session::on_sent() {
  if (engine_.wants_to_write() || is_leaving() || owes_too_much_) {
    produce_.schedule();
  }
}

// --- Time ---------------------------------------------------------------------------------------

void Http2Session::on_deadline() {
  if (state_ == State::kLingering && stream_.unsent_bytes() > 0) {
    deadline_.start(kLingerTime);
  } else if (state_ == State::kAttaching && drains_when_attached_ && !settings_received_) {
    leave();
    deadline_.start(kLingerTime);
  } else if (state_ == State::kAttaching) {
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
  const bool refuses = state_ == State::kDraining && options_.drain_style == DrainStyle::kAnnounce;
  if (refuses || is_leaving()) return Intake::kRefuse;
  return quiet_drain_.holds() ? Intake::kDefer : Intake::kStart;
}

void Http2Session::drain() {
  if (state_ != State::kAttaching && state_ != State::kServing) return;
  end_error_ = {ErrorKind::kDraining, Side::kLocal, "drained", true};
  if (state_ == State::kServing) {
    begin_draining();
  } else if (settings_received_) {
    // The gateway uses the connection, perhaps before it has acknowledged anything.
    drains_when_attached_ = true;
  } else if (options_.drain_style == DrainStyle::kHoldAndClose) {
    // HAProxy uses it as soon as TLS is there.
    drains_when_attached_ = true;
    deadline_.start(options_.limits.drain_hold);
  } else {
    leave();
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
  state_ = State::kDraining;
  if (options_.drain_style == DrainStyle::kHoldAndClose && !gateway_leaving_) {
    quiet_drain_.begin(streams_.staying(), share_.announced());
  } else {
    maybe_leave();
  }
}

void Http2Session::announce_limit(uint32_t streams) {
  share_.note_announced();
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
  if (!std::exchange(drain_round_trip_, false) || state_ != State::kServing) return;
  state_ = State::kDraining;
  engine_.announce_last_stream();
  produce_.schedule();
  maybe_leave();
}

void Http2Session::on_exchange_ending(bool is_brief) {
  quiet_drain_.before_end(streams_.staying(), is_brief);
}

void Http2Session::on_exchange_ended() {
  quiet_drain_.on_end(streams_.staying());
  maybe_leave();
}

void Http2Session::maybe_leave() {
  if (streams_.open() > 0) return;
  if (state_ == State::kDraining) {
    if (quiet_drain_.holds() && !gateway_leaving_) return;
    leave();
  } else if (state_ == State::kServing && gateway_leaving_) {
    end_error_ = {ErrorKind::kClosed, Side::kGateway, "the gateway sent GOAWAY", true};
    leave();
  }
}

void Http2Session::leave() {
  if (is_leaving()) return;
  state_ = State::kLeaving;
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
  state_ = State::kLingering;
  stream_.shutdown();
  liveness_.stop();
  deadline_.start(kLingerTime);
}

void Http2Session::abort() {
  if (state_ == State::kEnded) return;
  streams_.cancel_all();
  engine_.terminate(http2::kNoError);
  aborting_ = true;
  produce();
  end({ErrorKind::kDraining, Side::kLocal, "stopped", true}, Verdict::kAborted);
}

void Http2Session::end(const Error& error, Verdict verdict_for_open_exchanges) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  produce_.cancel();
  place_.stop_waiting();
  held_input_.drop();
  deadline_.stop();
  sweep_.stop();
  liveness_.stop();
  quiet_drain_.stop();
  streams_.end_all(verdict_for_open_exchanges);
  stream_.set_listener(nullptr);
  listener_.on_session_ended(error);
}

std::unique_ptr<Session> start_http2_session(const SessionSurroundings& surroundings,
                                             SessionOptions options, Session::Listener& listener) {
  return std::make_unique<Http2Session>(surroundings, std::move(options), listener);
}

}  // namespace ptth
