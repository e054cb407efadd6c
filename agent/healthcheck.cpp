#include "agent/healthcheck.h"

#include "common/address.h"
#include "common/byte_stream.h"
#include "common/http1_response_parser.h"
#include "common/tcp_stream.h"

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

constexpr std::string_view kUnixScheme = "unix:";
constexpr size_t kDetailBytesMax = 512;  // Of the answer, for people.

Error unhealthy(ErrorKind kind, std::string detail) {
  return {kind, Side::kLocal, std::move(detail)};
}

// Where to dial what listens at an address: "every address" is reached over loopback.
std::optional<Address> dialled_address(const std::string& listening) {
  const size_t colon = listening.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string host = listening.substr(0, colon);
  if (host.empty() || host == "0.0.0.0") host = "127.0.0.1";
  if (host == "[::]") host = "[::1]";
  unsigned port = 0;
  for (const char digit : std::string_view(listening).substr(colon + 1)) {
    port = port * 10 + static_cast<unsigned>(digit - '0');
    if (digit < '0' || digit > '9' || port > UINT16_MAX) return std::nullopt;
  }
  return Address::from_literal(host, static_cast<uint16_t>(port));
}

// One request over one connection.
class HealthRequest final : private ByteStream::Listener {
 public:
  explicit HealthRequest(Loop& loop)
      : loop_(loop),
        deadline_(loop, [this] { finish(unhealthy(ErrorKind::kTimeout, "no answer in time")); }) {}

  ~HealthRequest() = default;
  HealthRequest(const HealthRequest&) = delete;
  HealthRequest& operator=(const HealthRequest&) = delete;
  HealthRequest(HealthRequest&&) = delete;
  HealthRequest& operator=(HealthRequest&&) = delete;

  Result<void> run(const std::string& address, Milliseconds timeout) {
    const auto done = [this](Result<std::unique_ptr<ByteStream>> connected) {
      on_connected(std::move(connected));
    };
    ConnectAttempt::Options options;
    options.peer = Side::kLocal;
    if (address.starts_with(kUnixScheme)) {
      attempt_ =
          ConnectAttempt::unix_socket(loop_, address.substr(kUnixScheme.size()), options, done);
    } else {
      const std::optional<Address> place = dialled_address(address);
      if (!place) return unhealthy(ErrorKind::kConfiguration, address + " cannot be dialled");
      attempt_ = ConnectAttempt::tcp(loop_, place->raw(), options, done);
    }
    deadline_.start(timeout);
    loop_.run();
    return std::move(outcome_).value_or(unhealthy(ErrorKind::kInternal, "stopped"));
  }

 private:
  void on_connected(Result<std::unique_ptr<ByteStream>> connected) {
    if (!connected) return finish(connected.error());
    static constexpr std::string_view kRequest =
        "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream_ = std::move(connected).value();
    stream_->set_listener(this);
    parser_.start(Http1ResponseParser::Request::kOther);
    stream_->write({reinterpret_cast<const uint8_t*>(kRequest.data()), kRequest.size()});
  }

  void on_bytes(Bytes bytes) override {
    while (!outcome_) {
      switch (parser_.next(bytes)) {
        case Http1Event::kNeedMore:
          return;
        case Http1Event::kInterimHead:
        case Http1Event::kHead:
          break;
        case Http1Event::kBody:
          keep_detail(parser_.body());
          break;
        case Http1Event::kEnd:
          return finish_with_answer();
        case Http1Event::kFailed:
          return finish(parser_.error());
      }
    }
  }

  void on_end() override {
    if (outcome_) return;
    if (parser_.finish() == Http1Event::kEnd) return finish_with_answer();
    finish(unhealthy(ErrorKind::kClosed, "the connection ended before the answer"));
  }

  void on_failed(const Error& error) override { finish(error); }

  void on_sent() override {}

  void keep_detail(Bytes bytes) {
    for (const uint8_t byte : bytes) {
      if (detail_.size() < kDetailBytesMax) detail_ += static_cast<char>(byte);
    }
  }

  void finish_with_answer() {
    constexpr int kOk = 200;
    const int status = parser_.head().status;
    if (status == kOk) return finish({});
    while (detail_.ends_with('\n'))
      detail_.pop_back();
    finish(unhealthy(ErrorKind::kUnreachable, std::to_string(status) + " " + detail_));
  }

  void finish(Result<void> outcome) {
    if (outcome_) return;
    outcome_ = std::move(outcome);
    loop_.stop();
  }

  Loop& loop_;
  Timer deadline_;
  Http1ResponseParser parser_{{}, Side::kLocal};
  std::unique_ptr<ConnectAttempt> attempt_;
  std::unique_ptr<ByteStream> stream_;
  std::string detail_;
  std::optional<Result<void>> outcome_;
};

}  // namespace

Result<void> check_health(const std::string& address, Milliseconds timeout) {
  Loop loop;
  HealthRequest request(loop);
  return request.run(address, timeout);
}

}  // namespace ptth
