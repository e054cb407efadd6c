#pragma once

// TunnelConnection: the HTTP/2 connection, with us as its client, whose streams carry reversed
// channels (RFC 8441). It owns the stream beneath, and is shared by the TunnelStreams that have
// joined it: they take turns, each with credit of its own, and what ends one of them is nothing to
// the others. A gateway that has been silent is asked with a PING here, whatever version of HTTP
// the channels speak.

#include "agent/link/nghttp2_client.h"
#include "agent/link/tunnel_options.h"
#include "agent/relay/frame_guard.h"
#include "agent/relay/frame_scanner.h"
#include "agent/relay/liveness.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ptth {

class TunnelStream;

class TunnelConnection final : private ByteStream::Listener,
                               private Nghttp2Client::Listener,
                               private Liveness::Actions {
 public:
  // Called from the loop.
  class Listener {
   public:
    // The gateway's first SETTINGS have come.
    virtual void on_tunnels_ready() = 0;
    // The gateway takes no more streams here; those that it has go on.
    virtual void on_tunnels_leaving() = 0;
    // Terminal; the streams have been told.
    virtual void on_tunnels_over(const Error& error) = 0;

   protected:
    ~Listener() = default;
  };

  // listener: may be null, and outlives this otherwise.
  TunnelConnection(Loop& loop, std::unique_ptr<ByteStream> beneath, const TunnelOptions& options,
                   Listener* listener);
  ~TunnelConnection();
  TunnelConnection(const TunnelConnection&) = delete;
  TunnelConnection& operator=(const TunnelConnection&) = delete;
  TunnelConnection(TunnelConnection&&) = delete;
  TunnelConnection& operator=(TunnelConnection&&) = delete;

  [[nodiscard]] bool is_ready() const { return has_settings_; }

  // As the gateway's last SETTINGS say.
  [[nodiscard]] uint32_t streams_max() const { return client_.streams_max(); }

  // GOAWAY, and then the end of our direction. Streams that are left end with the gateway's.
  void leave();
  // Neither the listener nor a stream is called again.
  void silence();

  // For TunnelStream. Whoever has joined parts before it is destroyed, or is told by lose() when
  // this is destroyed.
  void join(TunnelStream& stream);
  void part(TunnelStream& stream);

  [[nodiscard]] Nghttp2Client& client() { return client_; }

  void flush_soon() { work_.schedule(); }

  void note_sent(size_t count) { guard_.earn_data(count); }

  [[nodiscard]] size_t unsent_bytes() const { return beneath_->unsent_bytes(); }

 private:
  // The stream beneath.
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // Nghttp2Client::Listener
  void on_frame(Nghttp2Client::FrameKind kind) override;
  void on_settings() override;
  void on_goaway() override;
  void on_ping_answered() override;

  // Liveness::Actions
  void send_ping() override;
  void on_dead() override;

  template <class Visit>
  void for_each_stream(Visit visit);
  [[nodiscard]] bool has_open_streams() const;
  void work();
  void flush();
  void fail(const Error& error);

  Loop& loop_;
  Listener* listener_;
  const TunnelOptions options_;
  std::unique_ptr<ByteStream> beneath_;
  FrameGuard guard_;
  FrameScanner scanner_;
  Nghttp2Client client_;
  Liveness liveness_;
  std::vector<TunnelStream*> streams_;
  bool has_settings_ = false;
  bool gateway_leaves_ = false;
  bool has_left_ = false;
  bool beneath_shut_ = false;
  bool has_failed_ = false;
  EndOfTurn work_;
};

}  // namespace ptth
