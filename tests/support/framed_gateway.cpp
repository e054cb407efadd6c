#include "tests/support/framed_gateway.h"

#include "common/byte_queue.h"
#include "common/check.h"
#include "tests/support/recording_listener.h"

#include <algorithm>
#include <utility>

namespace ptth::test {

namespace {

constexpr size_t kFrameHeadSize = 9;
constexpr uint8_t kHeadersType = 1;
constexpr uint8_t kSettingsType = 4;
constexpr uint8_t kPingType = 6;
constexpr uint8_t kGoawayType = 7;
constexpr uint8_t kAckFlag = 1;
const std::string kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string bytes;
  const auto byte = [&](size_t value) { bytes += static_cast<char>(value & 0xff); };
  byte(payload.size() >> 16);
  byte(payload.size() >> 8);
  byte(payload.size());
  byte(type);
  byte(flags);
  for (const int shift : {24, 16, 8, 0})
    byte(stream >> shift);
  return bytes + payload;
}

}  // namespace

class FramedGateway::Worker final : private TlsStream::HandshakeListener,
                                    private ByteStream::Listener {
 public:
  Worker(FramedGateway& gateway, std::unique_ptr<ByteStream> accepted) : gateway_(gateway) {
    if (gateway.options_.behaviour == Behaviour::kSilent) {
      silent_ = std::move(accepted);
      return;
    }
    TlsStream::Parameters parameters;
    parameters.alpn = gateway.options_.alpn;
    stream_ = TlsStream::accept(gateway.loop_, *gateway.context_, std::move(accepted),
                                std::move(parameters), *this);
  }

  ~Worker() { let_go(); }

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  Worker(Worker&&) = delete;
  Worker& operator=(Worker&&) = delete;

  [[nodiscard]] bool attached() const {
    return stream_ != nullptr && settings_acknowledged_ && !leaving_;
  }

  void send_request() {
    // GET https://gw/, indexed but for the authority (RFC 7541).
    write(frame(kHeadersType, 5, next_stream_id_, "\x82\x87\x84\x41\x02gw"));
    next_stream_id_ += 2;
  }

  void leave() {
    leaving_ = true;
    write(frame(kGoawayType, 0, 0, std::string(8, '\0')));
  }

  void end() {
    if (stream_) stream_->shutdown();
  }

 private:
  void on_secured() override {
    if (gateway_.options_.behaviour == Behaviour::kClosesAfterTls) {
      stream_->shutdown();
      return;
    }
    stream_->set_listener(this);
    if (gateway_.options_.dialect == Dialect::kDirect) {
      write(kMagic + frame(kSettingsType, 0, 0, ""));
      magic_seen_ = true;
    }
  }

  void on_handshake_failed(const Error& /*error*/) override { let_go(); }

  void on_bytes(Bytes bytes) override {
    received_.append(bytes);
    if (!magic_seen_) {
      if (received_.size() < kMagic.size()) return;
      CHECK_INVARIANT(as_text(received_.front().first(kMagic.size())) == kMagic);
      received_.consume(kMagic.size());
      magic_seen_ = true;
      write(frame(kSettingsType, 0, 0, ""));
    }
    while (take_frame()) {
    }
  }

  void on_end() override { let_go(); }

  void on_failed(const Error& /*error*/) override { let_go(); }

  void on_sent() override {}

  bool take_frame() {
    const Bytes bytes = received_.front();
    if (bytes.size() < kFrameHeadSize) return false;
    const size_t length = (size_t{bytes[0]} << 16) + (size_t{bytes[1]} << 8) + bytes[2];
    if (bytes.size() < kFrameHeadSize + length) return false;
    const uint8_t type = bytes[3];
    const bool is_ack = (bytes[4] & kAckFlag) != 0;
    const std::string payload(as_text(bytes.subspan(kFrameHeadSize, length)));
    received_.consume(kFrameHeadSize + length);
    if (type == kSettingsType && !is_ack) write(frame(kSettingsType, kAckFlag, 0, ""));
    if (type == kSettingsType && is_ack) settings_acknowledged_ = true;
    if (type == kPingType && !is_ack) write(frame(kPingType, kAckFlag, 0, payload));
    if (type == kHeadersType) ++gateway_.responses_;
    return true;
  }

  void write(const std::string& bytes) { stream_->write(as_bytes(bytes)); }

  void let_go() {
    if (stream_) stream_->set_listener(nullptr);
    gateway_.loop_.retire(std::move(stream_));
  }

  FramedGateway& gateway_;
  std::unique_ptr<ByteStream> silent_;
  std::unique_ptr<TlsStream> stream_;
  ByteQueue received_;
  bool magic_seen_ = false;
  bool settings_acknowledged_ = false;
  bool leaving_ = false;  // Its GOAWAY is out: no more requests.
  uint32_t next_stream_id_ = 1;
};

FramedGateway::FramedGateway(Loop& loop, const Options& options) : loop_(loop), options_(options) {
  auto context = TlsContext::for_server(options.tls);
  CHECK_INVARIANT(context.ok());
  context_ = std::move(context).value();
  auto listener =
      Listener::listen(loop, options.host + ":" + std::to_string(options.port),
                       [this](std::unique_ptr<ByteStream> stream) {
                         workers_.push_back(std::make_unique<Worker>(*this, std::move(stream)));
                       });
  CHECK_INVARIANT(listener.ok());
  listener_ = std::move(listener).value();
}

FramedGateway::~FramedGateway() {
  listener_.reset();
  workers_.clear();
  // What the workers let go of uses the context.
  loop_.retire(std::move(context_));
  loop_.turn();
}

int FramedGateway::port() const {
  return listener_->port();
}

size_t FramedGateway::attached() const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(),
                                           [](const auto& worker) { return worker->attached(); }));
}

void FramedGateway::send_requests() {
  for (const auto& worker : workers_) {
    if (worker->attached()) worker->send_request();
  }
}

void FramedGateway::leave() {
  for (const auto& worker : workers_) {
    if (worker->attached()) worker->leave();
  }
}

void FramedGateway::end_all() {
  for (const auto& worker : workers_)
    worker->end();
}

}  // namespace ptth::test
