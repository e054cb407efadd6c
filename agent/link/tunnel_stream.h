#pragma once

// TunnelStream: the DATA of one extended CONNECT (RFC 8441) as a ByteStream. It is the HTTP/2
// client on the connection beneath; whoever asks, and judges the answer, is its Owner. Credit
// returns to the gateway when the listener has taken the bytes: what waits is never more than the
// window.

#include "agent/link/nghttp2_tunnel.h"
#include "agent/link/tunnel_options.h"
#include "agent/relay/frame_guard.h"
#include "agent/relay/frame_scanner.h"
#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/http_message.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace ptth {

class TunnelStream final : public ByteStream,
                           private ByteStream::Listener,
                           private Nghttp2Tunnel::Listener {
 public:
  enum class ExtendedConnect : uint8_t { kRefused, kTaken };

  // Called from the loop.
  class Owner {
   public:
    // The gateway's first SETTINGS have come.
    virtual void on_tunnel_ready(ExtendedConnect extended_connect) = 0;
    // 1xx.
    virtual void on_tunnel_interim() = 0;
    // The final head. What follows arrives at the stream's listener.
    virtual void on_tunnel_answer(const ResponseHead& head) = 0;

   protected:
    ~Owner() = default;
  };

  // Owns the stream beneath; the owner outlives this.
  TunnelStream(Loop& loop, std::unique_ptr<ByteStream> beneath, const TunnelOptions& options,
               Owner& owner);
  ~TunnelStream() override;
  TunnelStream(const TunnelStream&) = delete;
  TunnelStream& operator=(const TunnelStream&) = delete;
  TunnelStream(TunnelStream&&) = delete;
  TunnelStream& operator=(TunnelStream&&) = delete;

  // Once, after on_tunnel_ready. Pseudo fields first. False: there is no stream to be had.
  [[nodiscard]] bool ask(const std::vector<Nghttp2Tunnel::FieldView>& fields);

  void set_listener(ByteStream::Listener* listener) override;
  void write(Bytes bytes) override;
  [[nodiscard]] size_t unsent_bytes() const override;
  void pause_reading() override;
  void resume_reading() override;
  void shutdown() override;

 private:
  // The stream beneath.
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // Nghttp2Tunnel::Listener
  void on_frame(Nghttp2Tunnel::FrameKind kind) override;
  void on_settings() override;
  void on_field(std::string_view name, std::string_view value) override;
  void on_fields_end(Nghttp2Tunnel::Ending ending) override;
  void on_data(Bytes bytes) override;
  void on_stream_end() override;
  void on_closed(uint32_t code, std::string_view name) override;
  size_t read_outgoing(std::span<uint8_t> memory, Nghttp2Tunnel::Ending& ending) override;

  [[nodiscard]] bool deliverable() const { return listener_ != nullptr && !paused_ && !failed_; }

  void deliver();
  void flush();
  void fail(const Error& error);

  Loop& loop_;
  Owner& owner_;
  std::unique_ptr<ByteStream> beneath_;
  ByteStream::Listener* listener_ = nullptr;
  FrameGuard guard_;
  FrameScanner scanner_;
  Nghttp2Tunnel tunnel_;
  ResponseHead head_;
  size_t head_bytes_ = 0;
  bool has_settings_ = false;
  bool has_answer_ = false;
  ByteQueue outgoing_;
  ByteQueue incoming_;  // That nobody could be given; the gateway has no credit for it.
  bool shutdown_wanted_ = false;
  bool paused_ = false;
  bool ended_ = false;
  bool end_delivered_ = false;
  bool failed_ = false;
  bool is_closed_ = false;  // Our stream, in both directions.
  bool beneath_shut_ = false;
  EndOfTurn work_;
};

}  // namespace ptth
