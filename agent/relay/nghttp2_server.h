#pragma once

// nghttp2 as a server without its C interface: typed events in, methods out. The only file pair
// that knows nghttp2. Flow-control credit is returned by hand, and MAX_CONCURRENT_STREAMS is
// enforced by the session, not by nghttp2.

#include "agent/relay/nghttp2_handle.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http_message.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct nghttp2_session;

namespace ptth {

class Nghttp2Server {
 public:
  enum class FrameKind { kData, kHeaders, kWindowUpdate, kReset, kControl };

  struct FrameHead {
    FrameKind kind;
    size_t length;
    int32_t stream_id;
    bool ends_stream;
  };
  enum class Ending { kEndOfRequest, kBodyFollows };

  struct ResponseEnd {
    bool is_complete = false;             // Nothing follows what is available.
    const FieldList* trailers = nullptr;  // When complete: may be empty.
  };
  enum class Written { kYes, kOutputIsFull };

  // Both are called from receive() and next_frame() only.

  // What concerns the connection.
  class LinkListener {
   public:
    virtual void on_frame_begin(const FrameHead& frame) = 0;
    virtual void on_settings() = 0;
    virtual void on_settings_ack() = 0;
    virtual void on_goaway() = 0;
    virtual void on_ping_ack() = 0;
    virtual void on_reset_received() = 0;
    virtual void on_invalid_frame() = 0;

   protected:
    ~LinkListener() = default;
  };

  // What concerns one stream. Events of a stream that is not a request of the gateway's are left
  // out.
  class StreamListener {
   public:
    virtual void on_request_begin(int32_t stream_id) = 0;
    virtual void on_field(int32_t stream_id, std::string_view name, std::string_view value) = 0;
    virtual void on_fields_end(int32_t stream_id, Ending ending) = 0;
    virtual void on_data(int32_t stream_id, Bytes bytes) = 0;
    virtual void on_request_end(int32_t stream_id) = 0;
    virtual void on_stream_reset_sent(int32_t stream_id) = 0;
    // PRIORITY_UPDATE (RFC 9218 section 7.1). The stream may not have begun yet, or be over.
    virtual void on_priority_update(int32_t stream_id, std::string_view value) = 0;
    virtual void on_stream_closed(int32_t stream_id, uint32_t code) = 0;
    // How many body bytes can be sent now.
    virtual size_t response_available(int32_t stream_id, ResponseEnd& end) = 0;
    // Write the frame head and so many of those bytes to the stream.
    virtual Written write_data(int32_t stream_id, Bytes frame_head, size_t count) = 0;
    // The frame that ends the response is out.
    virtual void on_response_sent(int32_t stream_id) = 0;

   protected:
    ~StreamListener() = default;
  };

  struct Options {
    uint32_t max_concurrent_streams = 100;
    bool announce_streams_at_start = true;
    uint32_t stream_window_bytes = 256 * 1024;
    uint32_t link_window_bytes = 16 * 1024 * 1024;
    uint32_t header_list_bytes = 64 * 1024;
    std::vector<std::string> origins;  // Of an ORIGIN frame behind SETTINGS; empty: none.
    std::string response_via;          // Added to each final response (RFC 9110 section 7.6.3).
  };

  // Queues SETTINGS and ORIGIN. The gateway's client magic is not expected: the profile has dealt
  // with it.
  Nghttp2Server(LinkListener& link, StreamListener& streams, const Options& options);
  Nghttp2Server(const Nghttp2Server&) = delete;
  Nghttp2Server& operator=(const Nghttp2Server&) = delete;
  Nghttp2Server(Nghttp2Server&&) = delete;
  Nghttp2Server& operator=(Nghttp2Server&&) = delete;
  ~Nghttp2Server();

  // An error: the connection is beyond repair.
  [[nodiscard]] Result<void> receive(Bytes bytes);
  // The next bytes to send, valid until the next call; empty: nothing to send now.
  [[nodiscard]] Bytes next_frame();

  void submit_interim(int32_t stream_id, const ResponseHead& head);
  void submit_response(int32_t stream_id, const ResponseHead& head);
  void resume_response(int32_t stream_id);
  // Of the answers that could be sent, those of the most urgent requests are, in turns (RFC 9218
  // section 10; without the order within an urgency, which would be one between strangers: the
  // gateway carries the requests of many users, section 13.1).
  void set_urgency(int32_t stream_id, uint8_t urgency);
  void reset_stream(int32_t stream_id, uint32_t code);
  void return_stream_credit(int32_t stream_id, size_t count);
  void return_link_credit(size_t count);
  void widen_stream_window(int32_t stream_id, uint32_t bytes);
  void announce_streams(uint32_t max_concurrent_streams);
  void announce_leaving();      // GOAWAY(2^31-1)
  void announce_last_stream();  // GOAWAY(last id processed)
  void submit_ping();
  // GOAWAY with that code; nothing is received after it.
  void terminate(uint32_t code);

  void set_stream_data(int32_t stream_id, void* data);
  [[nodiscard]] void* stream_data(int32_t stream_id) const;
  // The gateway lets us send so much of this answer.
  [[nodiscard]] bool has_credit(int32_t stream_id, size_t bytes) const;
  [[nodiscard]] size_t queued_frames() const;
  [[nodiscard]] bool wants_to_write() const;
  // Neither side has anything to say.
  [[nodiscard]] bool finished() const;

  // What was wrong with the gateway's frames, for the log.
  [[nodiscard]] const std::string& last_complaint() const { return complaint_; }

 private:
  struct Callbacks;  // The C functions.

  void submit_origins(const std::vector<std::string>& origins);
  void patch_settings(Bytes frame);
  void take_priority_update(int32_t stream_id);

  LinkListener& link_;
  StreamListener& streams_;
  uint32_t max_concurrent_streams_;
  std::string response_via_;
  std::string complaint_;
  std::vector<uint8_t> patched_settings_;
  std::string priority_update_;  // The payload of the frame that is being received.
  Nghttp2Handle session_;
};

}  // namespace ptth
