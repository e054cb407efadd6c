#pragma once

// The HTTP/2 server that runs on a reversed connection (RFC 9113): nghttp2 for frames and HPACK,
// our own rules for abuse.

#include "agent/relay/frame_guard.h"
#include "agent/relay/frame_scanner.h"
#include "agent/relay/held_input.h"
#include "agent/relay/http2_streams.h"
#include "agent/relay/link_share.h"
#include "agent/relay/liveness.h"
#include "agent/relay/nghttp2_server.h"
#include "agent/relay/quiet_drain.h"
#include "agent/relay/session.h"
#include "agent/relay/turn_share.h"

#include <memory>
#include <optional>

namespace ptth {

class Http2Session final : public Session,
                           private ByteStream::Listener,
                           private Nghttp2Server::LinkListener,
                           private Http2Streams::Owner,
                           private QuietDrain::Actions,
                           private Liveness::Actions {
 public:
  // As start_http2_session.
  Http2Session(const SessionSurroundings& around, SessionOptions options,
               Session::Listener& listener);
  ~Http2Session() override;
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;
  Http2Session(Http2Session&&) = delete;
  Http2Session& operator=(Http2Session&&) = delete;

  void drain() override;
  void abort() override;

  [[nodiscard]] size_t exchanges_in_flight() const override { return streams_.open(); }

  void set_capacity(uint32_t capacity) override;

  [[nodiscard]] uint32_t capacity() const override { return share_.announced(); }

  [[nodiscard]] uint32_t take_demand() override { return streams_.take_demand(); }

  [[nodiscard]] bool has_been_asked() const override { return streams_.any_yet(); }

 private:
  enum class State {
    kAttaching,  // SETTINGS sent; the gateway's, or its acknowledgement, is missing.
    kServing,
    kDraining,   // New streams are refused or wait, those in flight go on.
    kLeaving,    // GOAWAY is on its way; the end comes when it is out.
    kLingering,  // It is out, and so is our end of the stream; the gateway's is awaited.
    kEnded,
  };

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

  void on_exchange_begun() override { quiet_drain_.on_request(streams_.staying()); }

  void on_exchange_ending(bool is_brief) override;
  void on_exchange_ended() override;

  void schedule_output() override { produce_.schedule(); }

  // QuietDrain::Actions
  void announce_limit(uint32_t streams) override;
  void send_probe() override;

  void start_deferred(size_t count_max) override { streams_.start_deferred(count_max); }

  void leave_with_last_exchange() override { maybe_leave(); }

  // Liveness::Actions
  void send_ping() override { submit_ping(); }

  void on_dead() override;

  [[nodiscard]] bool is_leaving() const { return state_ >= State::kLeaving; }

  [[nodiscard]] size_t take_in(Bytes bytes);
  void on_turn();
  void take_held_input();
  void update_reading();
  void judge_gateway();
  void on_headers(int32_t stream_id);
  void maybe_attached();
  void announce_capacity();
  void produce();
  void write_frames();
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
  State state_ = State::kAttaching;
  bool settings_received_ = false;
  bool settings_acknowledged_ = false;
  bool gateway_leaving_ = false;
  bool warned_off_ = false;
  bool drains_when_attached_ = false;
  bool drain_round_trip_ = false;
  bool owes_too_much_ = false;
  bool reading_paused_ = false;
  bool aborting_ = false;
  LinkShare share_;
  // The answers to PINGs come in the order in which they were sent.
  uint64_t pings_unanswered_ = 0;
  std::optional<uint64_t> pings_until_probe_;
  Error end_error_;
  FrameGuard guard_;
  FrameScanner scanner_;
  TurnShare::Place place_;
  Nghttp2Server engine_;
  Http2Streams streams_;
  HeldInput held_input_;  // Beyond our share of the turn.
  EndOfTurn produce_;
  Timer deadline_;  // For attaching, and for lingering.
  Timer sweep_;
  Liveness liveness_;
  QuietDrain quiet_drain_;
};

// Writes its SETTINGS at the end of the turn.
[[nodiscard]] std::unique_ptr<Session> start_http2_session(const SessionSurroundings& surroundings,
                                                           SessionOptions options,
                                                           Session::Listener& listener);

}  // namespace ptth
