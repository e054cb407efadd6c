#include "tests/support/tunnel_end.h"

#include "common/byte_queue.h"
#include "tests/support/http2_frames.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace ptth::test {

namespace {

constexpr size_t kMagicSize = 24;
constexpr size_t kFrameMax = 16'384;
constexpr uint32_t kCredit = 1U << 30U;

class TunnelEnd final : public ByteStream, private ByteStream::Listener {
 public:
  explicit TunnelEnd(std::unique_ptr<ByteStream> beneath) : beneath_(std::move(beneath)) {
    beneath_->set_listener(this);
    // ENABLE_CONNECT_PROTOCOL and INITIAL_WINDOW_SIZE.
    std::vector<uint8_t> settings = {0, 8, 0, 0, 0, 1, 0, 4};
    const std::vector<uint8_t> credit = big_endian(kCredit);
    settings.insert(settings.end(), credit.begin(), credit.end());
    frame(kFrameSettings, 0, 0, settings);
    frame(kFrameWindowUpdate, 0, 0, credit);
  }

  ~TunnelEnd() override { beneath_->set_listener(nullptr); }

  TunnelEnd(const TunnelEnd&) = delete;
  TunnelEnd& operator=(const TunnelEnd&) = delete;
  TunnelEnd(TunnelEnd&&) = delete;
  TunnelEnd& operator=(TunnelEnd&&) = delete;

  void set_listener(ByteStream::Listener* listener) override { listener_ = listener; }

  void write(Bytes bytes) override {
    if (stream_id_ == 0) {
      early_.append(bytes);
      return;
    }
    while (!bytes.empty()) {
      const Bytes part = bytes.first(std::min(bytes.size(), kFrameMax));
      frame(kFrameData, 0, stream_id_, part);
      bytes = bytes.subspan(part.size());
    }
  }

  [[nodiscard]] size_t unsent_bytes() const override { return beneath_->unsent_bytes(); }

  void pause_reading() override { beneath_->pause_reading(); }

  void resume_reading() override { beneath_->resume_reading(); }

  void shutdown() override { frame(kFrameData, kFlagEndStream, stream_id_, {}); }

 private:
  void on_bytes(Bytes bytes) override {
    const size_t magic = std::min(bytes.size(), magic_left_);
    magic_left_ -= magic;
    for (const TestFrame& one : reader_.read(bytes.subspan(magic)))
      take(one);
  }

  void on_end() override {
    if (listener_ != nullptr) listener_->on_end();
  }

  void on_failed(const Error& error) override {
    if (listener_ != nullptr) listener_->on_failed(error);
  }

  void on_sent() override {
    if (listener_ != nullptr) listener_->on_sent();
  }

  void take(const TestFrame& one) {
    const bool is_ack = (one.flags & kFlagAck) != 0;
    if (one.type == kFrameSettings && !is_ack) frame(kFrameSettings, kFlagAck, 0, {});
    if (one.type == kFramePing && !is_ack) frame(kFramePing, kFlagAck, 0, one.payload);
    if (one.type == kFrameHeaders) {
      stream_id_ = one.stream_id;
      frame(kFrameHeaders, kFlagEndHeaders, stream_id_,
            encode_fields({{":status", "200"}, {"alpn", "h2"}}));
      write(std::exchange(early_, {}).front());
    }
    if (one.type != kFrameData || listener_ == nullptr) return;
    if (!one.payload.empty()) listener_->on_bytes(one.payload);
    if (one.ends_stream()) listener_->on_end();
  }

  void frame(uint8_t type, uint8_t flags, int32_t stream_id, Bytes payload) {
    beneath_->write(make_frame(type, flags, stream_id, payload));
  }

  std::unique_ptr<ByteStream> beneath_;
  ByteStream::Listener* listener_ = nullptr;
  size_t magic_left_ = kMagicSize;
  FrameReader reader_;
  int32_t stream_id_ = 0;  // 0: the worker has not asked yet.
  ByteQueue early_;
};

}  // namespace

std::unique_ptr<ByteStream> make_tunnel_end(std::unique_ptr<ByteStream> beneath) {
  return std::make_unique<TunnelEnd>(std::move(beneath));
}

}  // namespace ptth::test
