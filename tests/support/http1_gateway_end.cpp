// Text, one exchange at a time. Its answers are read by our own parser, which the differential
// tests compare with others.

#include "common/check.h"
#include "common/http1_response_parser.h"
#include "common/http1_writer.h"
#include "tests/support/gateway_end.h"

#include <utility>

namespace ptth::test {

namespace {

class Http1GatewayEnd final : public GatewayEnd {
 public:
  Http1GatewayEnd(std::unique_ptr<ByteStream> stream, Opening opening)
      : GatewayEnd(std::move(stream), std::move(opening)) {
    begin();
  }

  [[nodiscard]] bool is_ready() const override { return is_open_; }

  void get(int32_t exchange, const std::string& path) override {
    start(exchange, "GET " + path + " HTTP/1.1\r\nHost: app.example\r\n\r\n");
    sending_ = false;
  }

  void post(int32_t exchange) override {
    start(exchange, "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n");
    sending_ = true;
  }

  void send_body(int32_t /*exchange*/, const std::string& text) override {
    ByteQueue chunk;
    write_chunk_begin(text.size(), chunk);
    chunk.append({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    write_chunk_end(chunk);
    write({reinterpret_cast<const char*>(chunk.front().data()), chunk.size()});
  }

  void end_body(int32_t /*exchange*/, const std::string& digest_trailer) override {
    write("0\r\nDigest: " + digest_trailer + "\r\n\r\n");
    sending_ = false;
  }

  void cancel(int32_t /*exchange*/) override { end(); }

  [[nodiscard]] bool is_cut(int32_t exchange) const override {
    return exchange == current_ && !is_complete(exchange) && ended();
  }

  [[nodiscard]] bool is_called_off(int32_t exchange) const override {
    return sending_ && is_complete(exchange);
  }

  [[nodiscard]] bool is_refused(int32_t exchange) const override {
    return statuses(exchange) == "503";
  }

  [[nodiscard]] bool is_left() const override { return closes_; }

 private:
  void start(int32_t exchange, const std::string& head) {
    current_ = exchange;
    parser_.start(Http1ResponseParser::Request::kOther);
    write(head);
  }

  void on_open() override { is_open_ = true; }

  void read(Bytes bytes) override {
    while (true) {
      switch (parser_.next(bytes)) {
        case Http1Event::kNeedMore:
          return;
        case Http1Event::kInterimHead:
        case Http1Event::kHead:
          statuses_[current_] += std::to_string(parser_.head().status);
          break;
        case Http1Event::kBody:
          bodies_[current_].append(parser_.body().begin(), parser_.body().end());
          break;
        case Http1Event::kEnd:
          complete_[current_] = true;
          digests_[current_] += parser_.trailers().find("digest").value_or("");
          closes_ = !parser_.keep_alive_possible();
          CHECK_INVARIANT(bytes.empty());
          return;
        case Http1Event::kFailed:
          CHECK_INVARIANT(false);
      }
    }
  }

  // A worker that leaves an idle connection says nothing else.
  void on_ended() override { closes_ |= is_complete(current_); }

  Http1ResponseParser parser_{{}, Side::kGateway};
  int32_t current_ = 0;
  bool is_open_ = false;
  bool sending_ = false;
  bool closes_ = false;
};

}  // namespace

std::unique_ptr<GatewayEnd> make_http1_gateway_end(std::unique_ptr<ByteStream> stream,
                                                   Opening opening) {
  return std::make_unique<Http1GatewayEnd>(std::move(stream), std::move(opening));
}

}  // namespace ptth::test
