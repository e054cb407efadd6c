// Frame by frame, and independent of the engine that it talks to.

#include "tests/support/gateway_end.h"
#include "tests/support/http2_frames.h"
#include "tests/support/scripted_gateway.h"

#include <optional>
#include <utility>
#include <vector>

namespace ptth::test {

namespace {

// RFC 9113 section 7.
constexpr uint32_t kNoError = 0;
constexpr uint32_t kInternalError = 2;
constexpr uint32_t kRefusedStream = 7;
constexpr uint32_t kCancel = 8;

class Http2GatewayEnd final : public GatewayEnd {
 public:
  Http2GatewayEnd(std::unique_ptr<ByteStream> stream, Opening opening)
      : GatewayEnd(std::move(stream), std::move(opening)) {
    begin();
  }

  [[nodiscard]] bool is_ready() const override { return settings_acknowledged_; }

  void get(int32_t exchange, const std::string& path) override {
    send_fields(exchange, request_fields("GET", path), kFlagEndStream);
  }

  void post(int32_t exchange) override { send_fields(exchange, request_fields("POST", "/"), 0); }

  void send_body(int32_t exchange, const std::string& text) override {
    frame(kFrameData, 0, exchange, {text.begin(), text.end()});
  }

  void end_body(int32_t exchange, const std::string& digest_trailer) override {
    send_fields(exchange, {{"digest", digest_trailer}}, kFlagEndStream);
  }

  void cancel(int32_t exchange) override { frame(kFrameReset, 0, exchange, big_endian(kCancel)); }

  [[nodiscard]] bool is_cut(int32_t exchange) const override {
    return reset_code(exchange) == kInternalError && !is_complete(exchange);
  }

  [[nodiscard]] bool is_called_off(int32_t exchange) const override {
    return reset_code(exchange) == kNoError && is_complete(exchange);
  }

  [[nodiscard]] bool is_refused(int32_t exchange) const override {
    return reset_code(exchange) == kRefusedStream;
  }

  [[nodiscard]] bool is_left() const override { return goaway_; }

 private:
  void on_open() override { frame(kFrameSettings, 0, 0, {}); }

  void read(Bytes bytes) override {
    for (const TestFrame& one : reader_.read(bytes))
      take(one);
  }

  [[nodiscard]] std::optional<uint32_t> reset_code(int32_t exchange) const {
    const auto found = resets_.find(exchange);
    if (found == resets_.end()) return std::nullopt;
    return found->second;
  }

  void frame(uint8_t type, uint8_t flags, int32_t stream_id, const std::vector<uint8_t>& payload) {
    const std::vector<uint8_t> bytes = make_frame(type, flags, stream_id, payload);
    write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  void send_fields(int32_t stream_id, const HeaderFields& fields, uint8_t flags) {
    frame(kFrameHeaders, static_cast<uint8_t>(flags | kFlagEndHeaders), stream_id,
          encode_fields(fields));
  }

  void take(const TestFrame& one) {
    const bool is_ack = (one.flags & kFlagAck) != 0;
    if (one.type == kFrameSettings && !is_ack) {
      frame(kFrameSettings, kFlagAck, 0, {});
    } else if (one.type == kFrameSettings) {
      settings_acknowledged_ = true;
    } else if (one.type == kFramePing && !is_ack) {
      frame(kFramePing, kFlagAck, 0, one.payload);
    } else if (one.type == kFrameGoaway) {
      goaway_ = true;
    } else if (one.type == kFrameReset) {
      resets_[one.stream_id] = one.number_at(0);
    } else if (one.type == kFrameHeaders) {
      statuses_[one.stream_id] += one.field(":status");
      digests_[one.stream_id] += one.field("digest");
    } else if (one.type == kFrameData) {
      take_data(one);
    }
    const bool carries = one.type == kFrameHeaders || one.type == kFrameData;
    if (carries && one.ends_stream()) complete_[one.stream_id] = true;
  }

  void take_data(const TestFrame& one) {
    bodies_[one.stream_id].append(one.payload.begin(), one.payload.end());
    if (one.payload.empty()) return;
    // Credit goes back at once: these scenarios are about what arrives.
    const std::vector<uint8_t> count = big_endian(static_cast<uint32_t>(one.payload.size()));
    frame(kFrameWindowUpdate, 0, 0, count);
    if (!one.ends_stream()) frame(kFrameWindowUpdate, 0, one.stream_id, count);
  }

  FrameReader reader_;
  std::map<int32_t, uint32_t> resets_;
  bool settings_acknowledged_ = false;
  bool goaway_ = false;
};

}  // namespace

std::unique_ptr<GatewayEnd> make_http2_gateway_end(std::unique_ptr<ByteStream> stream,
                                                   Opening opening) {
  return std::make_unique<Http2GatewayEnd>(std::move(stream), std::move(opening));
}

}  // namespace ptth::test
