#pragma once

// nghttp2 as a client that opens streams by extended CONNECT (RFC 8441), without its C interface:
// typed events in, methods out. The credit of a stream is returned by hand; that of the connection
// returns with each byte that comes, so that no stream can hold up another.

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

class Nghttp2Client {
 public:
  enum class FrameKind : uint8_t { kProgress, kEmpty, kControl };
  enum class Ending : uint8_t { kOpen, kEndOfStream };
  // How a stream is given up: the gateway may use what came before, or it must not.
  enum class GivingUp : uint8_t { kDone, kCancelled };

  // Called from receive() and next_frame() only.
  class Listener {
   public:
    virtual void on_frame(FrameKind kind) = 0;
    // Not the acknowledgement of ours.
    virtual void on_settings() = 0;
    // The gateway takes no more streams. Those that it has not seen are closed after this.
    virtual void on_goaway() = 0;
    virtual void on_ping_answered() = 0;

   protected:
    ~Listener() = default;
  };

  // One of them, called as the above.
  class Stream {
   public:
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
    ~Stream() = default;
  };

  struct FieldView {
    std::string_view name;
    std::string_view value;
  };

  struct Windows {
    uint32_t stream_bytes;
    uint32_t connection_bytes;
  };

  // Queues the magic and SETTINGS.
  Nghttp2Client(Listener& listener, const Windows& windows);
  Nghttp2Client(const Nghttp2Client&) = delete;
  Nghttp2Client& operator=(const Nghttp2Client&) = delete;
  Nghttp2Client(Nghttp2Client&&) = delete;
  Nghttp2Client& operator=(Nghttp2Client&&) = delete;
  ~Nghttp2Client();

  void receive(Bytes bytes);
  // The next bytes to send, valid until the next call; empty: nothing to send now. Streams with
  // something to send take turns.
  [[nodiscard]] Bytes next_frame();

  // By the gateway's last SETTINGS.
  [[nodiscard]] bool takes_extended_connect() const;
  [[nodiscard]] uint32_t streams_max() const;

  // The id of a new stream, or 0: there is none to be had. The fields are copied; pseudo fields
  // first. The stream outlives this, or is given up.
  [[nodiscard]] int32_t open(const std::vector<FieldView>& fields, Stream& stream);
  // The stream has something to send again.
  void resume(int32_t id);
  void return_credit(int32_t id, size_t count);
  // Closes the stream, which hears nothing any more.
  void give_up(int32_t id, GivingUp how);
  void send_ping();
  // GOAWAY.
  void leave();
  // Nothing more is read or written here: after a GOAWAY, or as the connection is beyond repair.
  [[nodiscard]] bool is_over() const;

  // What was wrong with the gateway's frames.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  struct Callbacks;  // The C functions.

  [[nodiscard]] Stream* stream(int32_t id) const;

  Listener& listener_;
  std::string complaint_ = "the gateway has left";
  bool is_broken_ = false;
  Nghttp2Handle session_;
};

}  // namespace ptth
