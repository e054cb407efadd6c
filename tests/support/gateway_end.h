#pragma once

// The gateway's end of a reversed connection, which sends requests and writes down what comes back,
// in one of the versions of HTTP that a channel can speak. Exchanges are numbered 1, 3, 5, ...

#include "common/byte_stream.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace ptth::test {

// How a profile begins, seen from the gateway.
struct Opening {
  std::string worker_sends;   // Exactly this; kAnyRequest: any request.
  std::string gateway_sends;  // Behind that.
  bool in_tunnel = false;     // All this in the stream of an extended CONNECT.
};

inline const std::string kAnyRequest = "\r\n\r\n";
inline const std::string kHttp2Magic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class GatewayEnd : private ByteStream::Listener {
 public:
  GatewayEnd(std::unique_ptr<ByteStream> stream, Opening opening);
  GatewayEnd(const GatewayEnd&) = delete;
  GatewayEnd& operator=(const GatewayEnd&) = delete;
  GatewayEnd(GatewayEnd&&) = delete;
  GatewayEnd& operator=(GatewayEnd&&) = delete;
  virtual ~GatewayEnd();

  // Requests may be sent.
  [[nodiscard]] virtual bool is_ready() const = 0;

  virtual void get(int32_t exchange, const std::string& path) = 0;
  // A POST whose body follows, of unknown length.
  virtual void post(int32_t exchange) = 0;
  virtual void send_body(int32_t exchange, const std::string& text) = 0;
  virtual void end_body(int32_t exchange, const std::string& digest_trailer) = 0;
  // Gives the exchange up.
  virtual void cancel(int32_t exchange) = 0;

  void end() { stream_->shutdown(); }

  // Of all answers to it, one behind the other.
  [[nodiscard]] std::string statuses(int32_t exchange) const {
    return text_of(statuses_, exchange);
  }

  [[nodiscard]] std::string body(int32_t exchange) const { return text_of(bodies_, exchange); }

  [[nodiscard]] std::string digest(int32_t exchange) const { return text_of(digests_, exchange); }

  [[nodiscard]] bool is_complete(int32_t exchange) const { return complete_.contains(exchange); }

  // The answer broke off, so that nobody can take it for whole.
  [[nodiscard]] virtual bool is_cut(int32_t exchange) const = 0;
  // The answer came, and the rest of the request is not wanted.
  [[nodiscard]] virtual bool is_called_off(int32_t exchange) const = 0;
  // The origin has not seen it.
  [[nodiscard]] virtual bool is_refused(int32_t exchange) const = 0;
  // The worker has said that it wants no more requests.
  [[nodiscard]] virtual bool is_left() const = 0;

  [[nodiscard]] bool ended() const { return ended_; }

 protected:
  virtual void on_open() {}

  virtual void read(Bytes bytes) = 0;

  virtual void on_ended() {}

  // To be called by the constructor of each kind.
  void begin();
  void write(std::string_view text);

  std::map<int32_t, std::string> statuses_;
  std::map<int32_t, std::string> bodies_;
  std::map<int32_t, std::string> digests_;
  std::map<int32_t, bool> complete_;

 private:
  static std::string text_of(const std::map<int32_t, std::string>& texts, int32_t exchange);

  void open();
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;

  void on_sent() override {}

  Opening opening_;
  std::string begun_;
  bool is_open_ = false;
  bool ended_ = false;
  std::unique_ptr<ByteStream> stream_;
};

[[nodiscard]] std::unique_ptr<GatewayEnd> make_http2_gateway_end(std::unique_ptr<ByteStream> stream,
                                                                 Opening opening);
[[nodiscard]] std::unique_ptr<GatewayEnd> make_http1_gateway_end(std::unique_ptr<ByteStream> stream,
                                                                 Opening opening);

}  // namespace ptth::test
