#pragma once

// The worker's side of a reversed connection, played by a test: an HTTP/2 server on nghttp2 that
// keeps what the gateway sends and answers only when told to. For tests of gateways.

#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/c_handle.h"
#include "common/loop.h"
#include "tests/gateway/worker_session.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace ptth::test {

using FieldVector = std::vector<std::pair<std::string, std::string>>;

class ScriptedWorker final : public ByteStream::Listener {
 public:
  struct Request {
    int32_t id = 0;
    std::map<std::string, std::string> fields;  // Pseudo fields too. The last of equal names.
    std::string body;
    std::map<std::string, std::string> trailers;
    bool head_read = false;
    bool ended = false;
    std::optional<uint32_t> closed;  // With that code.
  };

  // kNone: nothing but what write_raw is told.
  enum class Hello { kRight, kNone };

  ScriptedWorker(Loop& loop, std::unique_ptr<ByteStream> stream, dev::WorkerProfile profile,
                 uint32_t streams_max = 100, Hello hello = Hello::kRight);
  ~ScriptedWorker();
  ScriptedWorker(const ScriptedWorker&) = delete;
  ScriptedWorker& operator=(const ScriptedWorker&) = delete;
  ScriptedWorker(ScriptedWorker&&) = delete;
  ScriptedWorker& operator=(ScriptedWorker&&) = delete;

  // A whole answer.
  void answer(int32_t id, int status, std::string_view text = {}, const FieldVector& fields = {});
  void interim(int32_t id, int status, const FieldVector& fields = {});
  // An answer in parts.
  void head(int32_t id, int status, const FieldVector& fields = {});
  void body(int32_t id, std::string_view bytes);
  void end(int32_t id, const FieldVector& trailers = {});
  void reset(int32_t id, uint32_t code);
  void set_streams_max(uint32_t streams_max);
  // Streams above last_id will not be answered.
  void go_away(int32_t last_id);
  void close();
  // Bytes as they are, behind what HTTP/2 has sent.
  void write_raw(std::string_view bytes);

  [[nodiscard]] Request& request(size_t index) { return *requests_.at(index); }

  // Requests whose head has been read.
  [[nodiscard]] size_t requests() const { return requests_.size(); }

  // How much more of an answer the gateway lets us send.
  [[nodiscard]] int32_t stream_credit(int32_t id) const;
  [[nodiscard]] int32_t link_credit() const;

  [[nodiscard]] bool told_to_leave() const { return told_to_leave_; }

  [[nodiscard]] bool connection_ended() const { return connection_ended_; }

  [[nodiscard]] uint64_t bytes_received() const { return bytes_received_; }

  [[nodiscard]] size_t pings() const { return pings_; }

  // nghttp2's callbacks
  int begin_headers(const nghttp2_frame& frame);
  int header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  void frame_received(const nghttp2_frame& frame);
  void frame_sent(const nghttp2_frame& frame);
  int body_received(int32_t stream_id, Bytes bytes);
  void stream_closed(int32_t stream_id, uint32_t code);
  ssize_t read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags);

 private:
  struct Outgoing {
    ByteQueue bytes;
    bool ended = false;
    FieldVector trailers;
  };

  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;
  Request* find(int32_t id);
  void flush();

  std::unique_ptr<ByteStream> stream_;
  std::unique_ptr<nghttp2_session, FreeWith<nghttp2_session_del>> session_;
  bool silent_;
  std::map<int32_t, std::unique_ptr<Request>> begun_;
  std::deque<Request*> requests_;
  std::map<int32_t, Outgoing> outgoing_;
  bool told_to_leave_ = false;
  bool connection_ended_ = false;
  uint64_t bytes_received_ = 0;
  size_t pings_ = 0;
  EndOfTurn flush_;
};

}  // namespace ptth::test
