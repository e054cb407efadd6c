#pragma once

// Http2Streams: the streams of one HTTP/2 connection (RFC 9113 sections 5 and 8): from frames to
// exchanges, and from their answers to frames, with the flow control of both directions. What
// concerns the connection as a whole is the session's.

#include "agent/origin/origin.h"
#include "agent/relay/exchange.h"
#include "agent/relay/frame_guard.h"
#include "agent/relay/nghttp2_server.h"
#include "agent/relay/own_resets.h"
#include "agent/relay/request_reader.h"
#include "agent/relay/session.h"
#include "agent/relay/turn_share.h"
#include "common/byte_stream.h"
#include "common/priority.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace ptth {

class Http2Streams final : public Nghttp2Server::StreamListener, private ExchangeCarrier {
 public:
  // The session that they belong to.
  class Owner {
   public:
    enum class Intake {
      kStart,
      kDefer,   // The origin is to see new requests later, or never.
      kRefuse,  // The gateway can send them elsewhere.
    };
    [[nodiscard]] virtual Intake intake() const = 0;
    virtual void on_exchange_begun() = 0;
    // It will end with the next write. Brief: it certainly ends there, and no window of the gateway
    // can hold it up.
    virtual void on_exchange_ending(bool is_brief) = 0;
    virtual void on_exchange_ended() = 0;
    // There is something to send.
    virtual void schedule_output() = 0;

   protected:
    ~Owner() = default;
  };

  struct Surroundings {
    const SessionSurroundings& session;
    FrameGuard& guard;
    TurnShare::Place& place;
    Nghttp2Server& engine;  // Not touched before the first event.
    Owner& owner;
  };

  // What is borrowed, the options too, outlives the streams.
  Http2Streams(const Surroundings& surroundings, const SessionOptions& options);
  ~Http2Streams();
  Http2Streams(const Http2Streams&) = delete;
  Http2Streams& operator=(const Http2Streams&) = delete;
  Http2Streams(Http2Streams&&) = delete;
  Http2Streams& operator=(Http2Streams&&) = delete;

  // What is buffered on the connection.
  [[nodiscard]] Budget& budget() { return link_budget_; }

  [[nodiscard]] size_t open() const { return exchanges_.size(); }

  // Without those that certainly end with the next write.
  [[nodiscard]] size_t staying() const { return exchanges_.size() - ending_; }

  // Whether there has been a stream.
  [[nodiscard]] bool any_yet() const { return last_stream_id_ > 0; }

  // How many may be open.
  void set_capacity(uint32_t capacity) { capacity_ = capacity; }

  [[nodiscard]] uint32_t capacity() const { return capacity_; }

  // See Session::take_demand.
  [[nodiscard]] uint32_t take_demand();

  // HEADERS for a stream that is over: at best they crossed our RST_STREAM.
  [[nodiscard]] bool is_over(int32_t stream_id) const;

  [[nodiscard]] bool is_reset_by_us(int32_t stream_id) const {
    return own_resets_.contains(stream_id);
  }

  // Exchanges that neither send nor take what they could for that long are given up.
  void give_up_stalled(Milliseconds patience);
  // What has come in the bytes that were just received, and was not taken back in them.
  void start_received();
  // The oldest of those whose start was deferred.
  void start_deferred(size_t count_max);
  // Whatever the origin has not seen, the gateway can send elsewhere.
  void refuse_deferred();
  void cancel_all();
  // The connection is gone. Nothing of the above is called after it.
  void end_all(Verdict verdict_for_open_exchanges);

 private:
  // Nghttp2Server::StreamListener
  void on_request_begin(int32_t stream_id) override;
  void on_field(int32_t stream_id, std::string_view name, std::string_view value) override;
  void on_fields_end(int32_t stream_id, Nghttp2Server::Ending ending) override;
  void on_data(int32_t stream_id, Bytes bytes) override;
  void on_request_end(int32_t stream_id) override;
  void on_priority_update(int32_t stream_id, std::string_view value) override;
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

  Exchange& open_exchange(int32_t stream_id);
  // Of these, those whose start was deferred.
  void start(const std::vector<int32_t>& stream_ids);
  void take_fields(Exchange& exchange, Nghttp2Server::Ending ending);
  void begin_request(Exchange& exchange, Nghttp2Server::Ending ending);
  void apply_early_priority(Exchange& exchange);
  void reprioritize(Exchange& exchange, const Priority& priority);
  void call_off_uploads();
  [[nodiscard]] bool is_outranked(const Exchange& exchange, uint64_t idle_ms) const;
  void malformed(Exchange& exchange, const char* reason);
  void widen_window(Exchange& exchange, size_t taken);
  void prepare_end(Exchange& exchange);
  void set_urgency(int32_t stream_id, const Priority& priority);
  void reset_stream(int32_t stream_id, uint32_t code);
  void remove(Exchange& exchange);
  [[nodiscard]] Exchange* find(int32_t stream_id) const;

  Loop& loop_;
  ByteStream& stream_;
  Origin& origin_;
  RelayMetrics& metrics_;
  FrameGuard& guard_;
  TurnShare::Place& place_;
  Nghttp2Server& engine_;
  Owner& owner_;
  const SessionOptions& options_;
  uint32_t capacity_;
  size_t open_max_ = 0;   // Since the last take_demand(),
  uint32_t refused_ = 0;  // as is this.
  Budget link_budget_;
  ExchangeSurroundings around_;
  OwnResets own_resets_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  size_t ending_ = 0;  // Of them, those that end briefly.
  // The stream whose HEADERS are being received: one at a time on a connection (RFC 9113
  // section 6.10).
  std::optional<RequestReader> reader_;
  int32_t reader_stream_id_ = 0;
  bool kernel_is_bound_ = false;
  int32_t last_stream_id_ = 0;
  // PRIORITY_UPDATE frames that came before their requests, the oldest first.
  std::vector<std::pair<int32_t, Priority>> early_priorities_;
  std::vector<int32_t> received_;  // Not started yet.
  Timer early_answers_;            // The rest of whose requests is not wanted.
  uint64_t last_data_ms_ = 0;      // When a part of any answer's body went out.
};

}  // namespace ptth
