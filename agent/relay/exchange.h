#pragma once

// Exchange: one request of a gateway and its response, between the session that carries it and the
// origin that answers it. It buffers the response up to a mark and then pauses the origin; it makes
// the agent's own answers; it ends with one verdict, one log line and one count.

#include "agent/origin/origin.h"
#include "agent/relay/budget.h"
#include "agent/relay/relay_metrics.h"
#include "agent/relay/verdict.h"
#include "common/byte_queue.h"
#include "common/http_message.h"
#include "common/log.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace ptth {

class Exchange;

// What an exchange asks of the HTTP version that carries it. None of these calls comes back into
// the exchange.
class ExchangeCarrier {
 public:
  virtual void send_interim(Exchange& exchange, const ResponseHead& head) = 0;
  // BodyKind::kNone ends the response with its head.
  virtual void send_head(Exchange& exchange, const ResponseHead& head) = 0;
  // response_front() has grown, or the response is complete.
  virtual void response_ready(Exchange& exchange) = 0;
  virtual void reset(Exchange& exchange, uint32_t code) = 0;
  // The origin took so many bytes of the request's body.
  virtual void return_credit(Exchange& exchange, size_t count) = 0;

 protected:
  ~ExchangeCarrier() = default;
};

// Who carries the exchange, and what it shares with the other exchanges of its link.
struct ExchangeSurroundings {
  Loop& loop;
  Log& log;
  RelayMetrics& metrics;
  Budget& link_budget;
  ExchangeCarrier& carrier;
  const std::string& gateway;
  uint64_t link_id = 0;
  size_t response_buffer_bytes = 0;
  ReplayStyle replay = ReplayStyle::kReset;
};

class Exchange final : public ResponseListener {
 public:
  Exchange(const ExchangeSurroundings& surroundings, int32_t stream_id);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  Exchange(Exchange&&) = delete;
  Exchange& operator=(Exchange&&) = delete;

  // The request side, told by the session.
  void start(RequestHead head, Origin& origin);
  // Instead of start(): the origin sees nothing before start_deferred(), which is for the session
  // to call, or give_up(). What comes of the body until then is kept.
  void defer(RequestHead head);
  void start_deferred(Origin& origin);

  [[nodiscard]] bool deferred() const { return deferred_; }

  // The agent answers by itself.
  void refuse(const Error& error);
  // The same with a status that says more than the error.
  void refuse(const Error& error, int status);
  void on_request_body(Bytes bytes);
  void on_request_end(const FieldList& trailers);

  void reprioritize(const Priority& priority);

  // The response side, read by the session.
  [[nodiscard]] Bytes response_front() const { return response_.front(); }

  // The bytes before response_front(), to write a frame's head into; nullptr if they are not free.
  [[nodiscard]] uint8_t* response_headroom(size_t count) { return response_.headroom(count); }

  void consume_response(size_t count);

  // Nothing will be added to response_front().
  [[nodiscard]] bool response_complete() const {
    return response_state_ == ResponseState::kComplete;
  }

  [[nodiscard]] const FieldList& response_trailers() const { return response_trailers_; }

  // The carrier is done with the exchange: everything was sent, or it was reset, or the link is
  // gone.
  void finish(Verdict verdict_unless_known);

  // The gateway has it in hand to go on: it neither takes what is buffered nor sends what it
  // announced.
  [[nodiscard]] bool waits_for_gateway() const;

  [[nodiscard]] uint64_t last_progress_ms() const { return last_progress_ms_; }

  void stall();
  // The session resets the stream for that reason.
  void give_up(Verdict verdict, std::string detail);

  [[nodiscard]] int32_t stream_id() const { return stream_id_; }

  // Reset by us, or about to be.
  [[nodiscard]] bool given_up() const { return response_state_ == ResponseState::kReset; }

  [[nodiscard]] bool request_ended() const { return request_ended_; }

  [[nodiscard]] bool started() const { return started_; }

  [[nodiscard]] const RequestHead& head() const { return head_; }

  // RFC 9113 section 8.1.1: what has come of the body breaks no promise of content-length.
  [[nodiscard]] bool body_fits(size_t more) const {
    return head_.body != BodyKind::kLength || request_bytes_ + more <= head_.content_length;
  }

  [[nodiscard]] bool body_is_whole() const {
    return head_.body != BodyKind::kLength || request_bytes_ == head_.content_length;
  }

  // Of the answer's body, sent or not.
  [[nodiscard]] uint64_t response_bytes() const { return response_bytes_; }

  [[nodiscard]] size_t request_bytes_waiting() const {
    return static_cast<size_t>(request_bytes_ - request_bytes_taken_);
  }

  // For the log line of a request that was refused before it could start.
  void describe(RequestHead description) { head_ = std::move(description); }

  // The place in the session's list; kept by the session.
  size_t list_index = 0;
  // The session has prepared for its end; kept by the session.
  bool end_prepared = false;
  bool ends_briefly = false;  // Certainly with the next write.
  // It is only opened to be refused; kept by the session.
  bool above_capacity = false;
  // Flow control of the upload; kept by the session.
  uint32_t stream_window = 0;
  size_t credit_since_widened = 0;
  // Connection credit that waits until the origin has taken the bytes; kept by the session.
  size_t withheld_link_credit = 0;
  uint64_t upload_ends_ms = 0;  // When the rest of it is called off; 0: the answer is not out.

  // ResponseListener
  void on_interim_response(const ResponseHead& head) override;
  void on_response_head(const ResponseHead& head) override;
  void on_response_body(Bytes bytes) override;
  void on_response_end(const FieldList& trailers) override;
  void on_response_failed(const Error& error) override;
  void on_request_body_taken(size_t count) override;

 private:
  enum class ResponseState {
    kWaiting,   // No final head yet.
    kBody,      // Head sent, body under way.
    kComplete,  // The last byte and the trailers are here; they may still have to be sent.
    kReset,     // Given up; nothing more is sent.
  };

  void answer(const Refusal& refusal, const Error& error);

  void note_progress() { last_progress_ms_ = around_.loop.now_ms(); }

  void buffer_response(Bytes bytes);
  void hold_bytes(size_t count);
  void free_bytes(size_t count);
  void drop_call();
  void write_log_line(Verdict verdict);

  ExchangeSurroundings around_;
  const int32_t stream_id_;
  RequestHead head_;
  bool started_ = false;
  bool deferred_ = false;
  std::optional<Priority> deferred_priority_;
  bool request_ended_ = false;
  ResponseState response_state_ = ResponseState::kWaiting;
  bool response_paused_ = false;
  bool finished_ = false;
  int status_ = 0;
  ByteQueue response_;
  FieldList response_trailers_;
  ByteQueue deferred_body_;
  FieldList deferred_trailers_;
  size_t held_bytes_ = 0;
  uint64_t request_bytes_ = 0;
  uint64_t request_bytes_taken_ = 0;
  uint64_t response_bytes_ = 0;
  uint64_t started_ns_ = 0;
  uint64_t first_byte_ns_ = 0;
  uint64_t last_progress_ms_ = 0;
  std::optional<Verdict> verdict_;
  std::string error_detail_;
  // Last: its destruction cancels, and nothing of the above is touched after it.
  std::unique_ptr<OriginCall> call_;
};

}  // namespace ptth
