#pragma once

// The HTTP/1.1 server that runs on a reversed connection (RFC 9112): one exchange at a time, in the
// order in which the requests came. What a request may say is decided where HTTP/2 decides it too
// (RequestReader), and what becomes of it as well (Exchange). Here is what HTTP/1.1 adds: who may
// speak when, and whether the connection can carry one more exchange.

#include "agent/relay/budget.h"
#include "agent/relay/exchange.h"
#include "agent/relay/held_input.h"
#include "agent/relay/http1_answer.h"
#include "agent/relay/session.h"
#include "agent/relay/turn_share.h"
#include "common/http1_request_parser.h"

#include <memory>
#include <string>

namespace ptth {

class Http1Session final : public Session, private ByteStream::Listener, private ExchangeCarrier {
 public:
  // As start_http1_session.
  Http1Session(const SessionSurroundings& surroundings, SessionOptions options,
               Session::Listener& listener);
  ~Http1Session() override;
  Http1Session(const Http1Session&) = delete;
  Http1Session& operator=(const Http1Session&) = delete;
  Http1Session(Http1Session&&) = delete;
  Http1Session& operator=(Http1Session&&) = delete;

  void drain() override;
  void abort() override;

  [[nodiscard]] size_t exchanges_in_flight() const override { return exchange_ ? 1 : 0; }

  [[nodiscard]] bool has_been_asked() const override { return requests_ > 0; }

  [[nodiscard]] uint64_t exchanges_answered() const override { return answered_; }

 private:
  enum class State {
    kSettling,  // No request yet, and not long enough open to believe that the gateway wants us.
    kServing,
    kLingering,  // All is said; waiting until the gateway closes too.
    kEnded,
  };

  // How far the current request has been read.
  //
  //   kIdle -> kHead -> kBody -> kComplete -- answered --> kIdle
  //   any of these -- what came is no HTTP --> kBroken -- answered --> the connection ends
  enum class RequestState {
    kIdle,  // No byte of it yet.
    kHead,
    kBody,  // Head taken. The exchange may be over before the body is: the rest is discarded.
    kComplete,
    kBroken,  // Nothing that follows can be understood.
  };

  // ByteStream::Listener
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // ExchangeCarrier
  void send_interim(Exchange& exchange, const ResponseHead& head) override;
  void send_head(Exchange& exchange, const ResponseHead& head) override;
  void response_ready(Exchange& exchange) override;
  void reset(Exchange& exchange, uint32_t code) override;
  void return_credit(Exchange& exchange, size_t count) override;

  // Requests.
  [[nodiscard]] bool may_parse() const;
  void parse(Bytes& input);
  void parse_input();
  void on_partial_head();
  void begin_request();
  void on_body(Bytes bytes);
  void on_request_end();
  void expect_request();
  void on_malformed();
  void refuse_unread(const Error& error, int status);
  void open_exchange(Http1Answer::Request request);
  void update_reading();

  [[nodiscard]] bool is_over_budget() const { return link_budget_.exceeded(); }

  // Answers.
  [[nodiscard]] bool is_last(const Exchange& exchange, int status) const;
  void advance();
  [[nodiscard]] bool waits_for_turn() const;
  bool write_answer();
  void on_answer_written();
  void close_exchange(Verdict verdict);

  // Time.
  void attach();
  void on_deadline();
  void sweep_stalled();

  // The end.
  void leave_if_drained();
  void leave();
  void break_off(std::string detail);
  void end(const Error& error, Verdict verdict_for_open_exchange);

  Loop& loop_;
  ByteStream& stream_;
  Origin& origin_;
  RelayMetrics& metrics_;
  SessionOptions options_;
  Session::Listener& listener_;
  State state_ = State::kSettling;
  RequestState request_ = RequestState::kIdle;
  Budget link_budget_;
  ExchangeSurroundings around_;
  Http1RequestParser parser_;
  Http1Answer answer_;
  std::unique_ptr<Exchange> exchange_;
  int32_t requests_ = 0;
  uint64_t answered_ = 0;
  size_t load_told_ = 0;
  // What came and cannot be parsed yet: behind the current request, or more of its body than the
  // origin has room for.
  HeldInput input_;
  size_t discarded_bytes_ = 0;
  bool body_began_ = false;
  bool upload_paused_ = false;
  bool reading_paused_ = false;
  bool draining_ = false;
  uint64_t last_sent_ms_ = 0;
  Error end_error_;
  TurnShare::Place place_;
  EndOfTurn advance_;
  // To attach, of a head, of what is discarded, of the wait for a last request, of the linger.
  Timer deadline_;
  Timer sweep_;
};

[[nodiscard]] std::unique_ptr<Session> start_http1_session(const SessionSurroundings& surroundings,
                                                           SessionOptions options,
                                                           Session::Listener& listener);

}  // namespace ptth
