#include "agent/admin_client.h"

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
// A status document of many gateways is some hundred KiB.
constexpr size_t kAnswerBytesMax = size_t{16} * 1024 * 1024;

Error failure(ErrorKind kind, std::string detail) {
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
class AdminRequest final : private ByteStream::Listener {
 public:
  explicit AdminRequest(Loop& loop)
      : loop_(loop),
        deadline_(loop, [this] { finish(failure(ErrorKind::kTimeout, "no answer in time")); }) {}

  ~AdminRequest() = default;
  AdminRequest(const AdminRequest&) = delete;
  AdminRequest& operator=(const AdminRequest&) = delete;
  AdminRequest(AdminRequest&&) = delete;
  AdminRequest& operator=(AdminRequest&&) = delete;

  Result<AdminAnswer> run(const std::string& address, std::string request, Milliseconds timeout) {
    request_ = std::move(request);
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
      if (!place) return failure(ErrorKind::kConfiguration, address + " cannot be dialled");
      attempt_ = ConnectAttempt::tcp(loop_, place->raw(), options, done);
    }
    deadline_.start(timeout);
    loop_.run();
    return std::move(outcome_).value_or(failure(ErrorKind::kInternal, "stopped"));
  }

 private:
  void on_connected(Result<std::unique_ptr<ByteStream>> connected) {
    if (!connected) return finish(connected.error());
    stream_ = std::move(connected).value();
    stream_->set_listener(this);
    parser_.start(Http1ResponseParser::Request::kOther);
    stream_->write({reinterpret_cast<const uint8_t*>(request_.data()), request_.size()});
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
          if (!keep(parser_.body())) return;
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
    finish(failure(ErrorKind::kClosed, "the connection ended before the answer"));
  }

  void on_failed(const Error& error) override { finish(error); }

  void on_sent() override {}

  [[nodiscard]] bool keep(Bytes bytes) {
    if (answer_.body.size() + bytes.size() > kAnswerBytesMax) {
      finish(failure(ErrorKind::kProtocol, "the answer is too long"));
      return false;
    }
    answer_.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }

  void finish_with_answer() {
    answer_.status = parser_.head().status;
    finish(std::move(answer_));
  }

  void finish(Result<AdminAnswer> outcome) {
    if (outcome_) return;
    outcome_ = std::move(outcome);
    loop_.stop();
  }

  Loop& loop_;
  Timer deadline_;
  Http1ResponseParser parser_{{}, Side::kLocal};
  std::unique_ptr<ConnectAttempt> attempt_;
  std::unique_ptr<ByteStream> stream_;
  std::string request_;
  AdminAnswer answer_;
  std::optional<Result<AdminAnswer>> outcome_;
};

}  // namespace

Result<AdminAnswer> ask_admin(const std::string& address, std::string_view method,
                              std::string_view path, Milliseconds timeout) {
  std::string request(method);
  request.append(" ").append(path).append(" HTTP/1.1\r\nHost: localhost\r\n");
  if (method != "GET") request += "Content-Type: application/json\r\nContent-Length: 0\r\n";
  request += "Connection: close\r\n\r\n";
  Loop loop;
  AdminRequest exchange(loop);
  return exchange.run(address, std::move(request), timeout);
}

}  // namespace ptth
