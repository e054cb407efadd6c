#include "agent/link/proxy_tunnel.h"

#include "agent/link/hello_answer.h"
#include "agent/link/hello_stream.h"
#include "common/base64.h"
#include "common/http1_response_parser.h"

#include <string_view>
#include <utility>

namespace ptth {

namespace {

constexpr Http1Limits kLimits{size_t{16} * 1024, 64, 256};
constexpr int kInterimAnswersMax = 16;
constexpr size_t kShownMax = 100;
// tinyproxy answers wrong credentials with 401.
constexpr int kUnauthorized = 401;
constexpr int kProxyAuthenticationRequired = 407;

Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class ProxyTunnel final : public HelloStream {
 public:
  ProxyTunnel(Loop& loop, std::unique_ptr<ByteStream> connected, ProxyTunnelOptions options,
              Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener),
        options_(std::move(options)),
        parser_(kLimits, Side::kGateway),
        ask_(loop, [this] { ask(); }) {
    parser_.start(Http1ResponseParser::Request::kOther);
    ask_.schedule();
  }

 private:
  void ask() {
    if (!in_hello()) return;
    std::string request = "CONNECT " + options_.target + " HTTP/1.1\r\nHost: " + options_.target +
                          "\r\nUser-Agent: ptth-agent\r\n";
    if (!options_.credentials.empty()) {
      request += "Proxy-Authorization: Basic ";
      append_base64(request, options_.credentials.reveal());
      request += "\r\n";
    }
    request += "\r\n";
    write(as_bytes(request));
    const Secret wiped(std::move(request));
  }

  void on_hello_bytes(Bytes bytes) override {
    while (true) {
      switch (parser_.next(bytes)) {
        case Http1Event::kNeedMore:
          return;
        case Http1Event::kInterimHead:
          if (++interim_answers_ <= kInterimAnswersMax) break;
          not_reversed(wrong(ErrorKind::kProtocol, "sent too many 1xx answers"));
          return;
        case Http1Event::kFailed:
          not_reversed(wrong(ErrorKind::kProtocol, "is no HTTP proxy: " + parser_.error().detail));
          return;
        case Http1Event::kHead:
        case Http1Event::kBody:
        case Http1Event::kEnd:
          judge(bytes);
          return;
      }
    }
  }

  // Whatever a 2xx says of a body, there is none (RFC 9110 section 9.3.6): rest is the gateway's.
  void judge(Bytes rest) {
    const int status = parser_.head().status;
    const std::string code = std::to_string(status);
    if (status >= 200 && status <= 299) {
      reversed(rest);
    } else if (status == kProxyAuthenticationRequired || status == kUnauthorized) {
      not_reversed(
          wrong(ErrorKind::kRefused,
                options_.credentials.empty()
                    ? "wants a user and a password (" + code + "): --proxy-credentials-file"
                    : "does not accept our user and password (" + code + ")"));
    } else {
      not_reversed(wrong(ErrorKind::kUnreachable,
                         "opens no tunnel to " + options_.target + ": it answered " + code));
    }
  }

  [[nodiscard]] Error wrong(ErrorKind kind, const std::string& what) const {
    const bool may_pass = kind == ErrorKind::kUnreachable;
    return {kind, Side::kGateway,
            "the proxy " + options_.proxy + " " + visible(what, 2 * kShownMax), may_pass};
  }

  [[nodiscard]] Error explain_end(const Error& error) override {
    if (error.kind != ErrorKind::kClosed) return error;
    return wrong(ErrorKind::kUnreachable,
                 "closed the connection instead of opening a tunnel to " + options_.target);
  }

  ProxyTunnelOptions options_;
  Http1ResponseParser parser_;
  int interim_answers_ = 0;
  EndOfTurn ask_;
};

}  // namespace

std::unique_ptr<ByteStream> make_proxy_tunnel(Loop& loop, std::unique_ptr<ByteStream> connected,
                                              ProxyTunnelOptions options,
                                              Profile::Listener& listener) {
  return std::make_unique<ProxyTunnel>(loop, std::move(connected), std::move(options), listener);
}

}  // namespace ptth
