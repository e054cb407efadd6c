#pragma once

// A worker's connection of the profiles that ask by extended CONNECT (RFC 8441), from TLS to its
// end: an HTTP/2 server, each of whose streams is a hello, and then a channel. Between an entrance
// and the dispatcher.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/loop.h"
#include "tests/gateway/hello_rules.h"
#include "tests/gateway/http2_engine.h"
#include "tests/gateway/outer_stream.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ptth::dev {

class OuterSession final : private ByteStream::Listener, private OuterStream::Session {
 public:
  class Listener {
   public:
    // The status that the next hello is to get, whatever it says.
    virtual std::optional<int> next_hello_fault() = 0;
    // The stream is a channel of the worker's, which has its answer. It may outlive the session; by
    // then it has failed or ended.
    virtual void on_channel_opened(OuterSession& outer, const HelloVerdict& verdict,
                                   std::unique_ptr<ByteStream> stream) = 0;
    virtual void on_channel_refused(OuterSession& outer, const HelloVerdict& verdict) = 0;
    // Terminal. Retire the session.
    virtual void on_outer_ended(OuterSession& outer) = 0;

   protected:
    ~Listener() = default;
  };

  struct Options {
    HelloRules rules;
    std::string name;                   // Of the worker's certificate; empty: none.
    std::string exporter;               // As for a worker's session.
    uint32_t channels_max = 100;        // At once; announced.
    uint32_t channel_window = 1 << 18;  // Credit for what a channel has not taken.
    size_t hello_bytes_max = size_t{16} * 1024;
    size_t output_bytes_max = size_t{256} * 1024;  // Frames that the kernel has not yet taken.
    Milliseconds idle_timeout{10'000};             // Without a channel.
    Milliseconds close_timeout{2'000};             // From our last byte to the worker's.
  };

  // Owns the stream. Nothing is called from inside the constructor.
  OuterSession(Loop& loop, std::unique_ptr<ByteStream> stream, Options options, Listener& listener);
  ~OuterSession();
  OuterSession(const OuterSession&) = delete;
  OuterSession& operator=(const OuterSession&) = delete;
  OuterSession(OuterSession&&) = delete;
  OuterSession& operator=(OuterSession&&) = delete;

  // Hellos that come from now on are refused; the channels go on.
  void refuse_hellos() { refuses_hellos_ = true; }

  // GOAWAY; then on_outer_ended, once the last channel has gone.
  void leave();

  [[nodiscard]] const Options& options() const { return options_; }

  // nghttp2's callbacks
  int begin_headers(const nghttp2_frame& frame);
  int header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  void frame_received(const nghttp2_frame& frame);
  void frame_sent(const nghttp2_frame& frame);
  int body_received(int32_t stream_id, Bytes bytes);
  void stream_closed(int32_t stream_id, uint32_t code);
  ssize_t read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags);

 private:
  // A stream, until HTTP/2 has closed it.
  struct Asked {
    RequestHead head;
    std::string protocol;
    bool is_whole = false;
    bool is_too_large = false;
    bool is_answered = false;
    bool has_more = false;  // Bytes behind the hello.
    bool has_ended = false;
    OuterStream* channel = nullptr;  // Null when it has gone before its stream, or never was.
    ByteQueue no_text;
  };

  // The stream beneath.
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // OuterStream::Session
  void resume(int32_t id) override;
  void return_credit(int32_t id, size_t count) override;
  void deliver_soon() override;
  void part(OuterStream& stream) override;

  void work();
  void flush();
  void answer(int32_t stream_id, Asked& asked);
  [[nodiscard]] HelloVerdict judge(const Asked& asked);
  void open(int32_t stream_id, Asked& asked, const HelloVerdict& verdict);
  void refuse(int32_t stream_id, Asked& asked, const HelloVerdict& verdict);
  void submit(int32_t stream_id, const HelloVerdict& verdict, const nghttp2_data_provider* body);
  void idle_expired();
  void end(const Error& error);
  void fail_channels(const Error& error);
  Asked* find(int32_t stream_id);

  Loop& loop_;
  Options options_;
  Listener& listener_;
  std::unique_ptr<ByteStream> stream_;
  Http2Handle session_;
  std::unordered_map<int32_t, Asked> asked_;
  std::vector<int32_t> to_answer_;
  std::vector<OuterStream*> channels_;  // Until each is destroyed.
  bool refuses_hellos_ = false;
  bool leaving_ = false;
  bool closing_ = false;
  bool ended_ = false;
  EndOfTurn work_;
  Timer idle_timer_;
  Timer close_timer_;
};

}  // namespace ptth::dev
