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
#include "common/byte_stream.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
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
    // open: how many exchanges there are from then on.
    virtual void on_exchange_begun(size_t open) = 0;
    // It will end with the next write. Brief: it certainly ends there, and no window of the gateway
    // can hold it up.
    virtual void on_exchange_ending(bool is_brief) = 0;
    virtual void on_exchange_ended(size_t open) = 0;
    // There is something to send.
    virtual void schedule_output() = 0;

   protected:
    ~Owner() = default;
  };

  struct Surroundings {
    const SessionSurroundings& session;
    FrameGuard& guard;
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

  [[nodiscard]] size_t open() const { return exchanges_.size(); }

  // HEADERS for a stream that is over: at best they crossed our RST_STREAM.
  [[nodiscard]] bool is_over(int32_t stream_id) const;

  [[nodiscard]] bool is_reset_by_us(int32_t stream_id) const {
    return own_resets_.contains(stream_id);
  }

  // Exchanges that neither send nor take what they could for that long are given up.
  void give_up_stalled(Milliseconds patience);
  void start_oldest_deferred();
  void start_all_deferred();
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

  void take_fields(Exchange& exchange, Nghttp2Server::Ending ending);
  void begin_request(Exchange& exchange, Nghttp2Server::Ending ending);
  void malformed(Exchange& exchange, const char* reason);
  void widen_window(Exchange& exchange, size_t taken);
  void prepare_end(Exchange& exchange);
  void reset_stream(int32_t stream_id, uint32_t code);
  void remove(Exchange& exchange);
  [[nodiscard]] Exchange* find(int32_t stream_id) const;

  Loop& loop_;
  ByteStream& stream_;
  Origin& origin_;
  RelayMetrics& metrics_;
  FrameGuard& guard_;
  Nghttp2Server& engine_;
  Owner& owner_;
  const SessionOptions& options_;
  Budget link_budget_;
  ExchangeSurroundings around_;
  OwnResets own_resets_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  // The stream whose HEADERS are being received: one at a time on a connection (RFC 9113
  // section 6.10).
  std::optional<RequestReader> reader_;
  int32_t reader_stream_id_ = 0;
  int32_t last_stream_id_ = 0;
};

}  // namespace ptth
