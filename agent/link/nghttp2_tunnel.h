#pragma once

// nghttp2 as a client that opens one stream, by extended CONNECT (RFC 8441), without its C
// interface: typed events in, methods out. Flow-control credit is returned by hand.

#include "agent/relay/nghttp2_handle.h"
#include "common/byte_stream.h"
#include "common/error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct nghttp2_session;

namespace ptth {

class Nghttp2Tunnel {
 public:
  enum class FrameKind : uint8_t { kProgress, kEmpty, kControl };
  enum class Ending : uint8_t { kOpen, kEndOfStream };

  // Called from receive() and next_frame() only. All but the first two are about our stream.
  class Listener {
   public:
    virtual void on_frame(FrameKind kind) = 0;
    // Not the acknowledgement of ours.
    virtual void on_settings() = 0;
    virtual void on_field(std::string_view name, std::string_view value) = 0;
    // Of a head, interim or final, or of trailers.
    virtual void on_fields_end(Ending ending) = 0;
    virtual void on_data(Bytes bytes) = 0;
    virtual void on_stream_end() = 0;
    // Terminal. name: of the error code.
    virtual void on_closed(uint32_t code, std::string_view name) = 0;
    // Puts what is to be sent into the memory. 0: nothing now, until resume(); or, with
    // kEndOfStream in ending, nothing any more.
    virtual size_t read_outgoing(std::span<uint8_t> memory, Ending& ending) = 0;

   protected:
    ~Listener() = default;
  };

  struct FieldView {
    std::string_view name;
    std::string_view value;
  };

  // Queues the magic and SETTINGS. window_bytes: credit of the stream and of the connection.
  Nghttp2Tunnel(Listener& listener, uint32_t window_bytes);
  Nghttp2Tunnel(const Nghttp2Tunnel&) = delete;
  Nghttp2Tunnel& operator=(const Nghttp2Tunnel&) = delete;
  Nghttp2Tunnel(Nghttp2Tunnel&&) = delete;
  Nghttp2Tunnel& operator=(Nghttp2Tunnel&&) = delete;
  ~Nghttp2Tunnel();

  void receive(Bytes bytes);
  // The next bytes to send, valid until the next call; empty: nothing to send now.
  [[nodiscard]] Bytes next_frame();

  // By the gateway's last SETTINGS.
  [[nodiscard]] bool takes_extended_connect() const;
  // Once. The fields are copied; pseudo fields first. False: there is no stream to be had.
  [[nodiscard]] bool open(const std::vector<FieldView>& fields);
  // There is something to send again.
  void resume();
  void return_credit(size_t count);
  // GOAWAY.
  void leave();
  // Nothing more is read or written here: after leave(), or as the connection is beyond repair.
  [[nodiscard]] bool is_over() const;

  // What was wrong with the gateway's frames.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  struct Callbacks;  // The C functions.

  Listener& listener_;
  int32_t stream_id_ = 0;  // 0: not open yet.
  std::string complaint_ = "the gateway has left";
  bool is_broken_ = false;
  Nghttp2Handle session_;
};

}  // namespace ptth
