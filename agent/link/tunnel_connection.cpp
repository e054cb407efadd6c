#include "agent/link/tunnel_connection.h"

#include "agent/link/tunnel_stream.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ptth {

namespace {

// Frames that the stream beneath has not sent yet; above it no more are made.
constexpr size_t kUnsentBytesMax = size_t{256} * 1024;

// All streams may use up their credit at once.
Nghttp2Client::Windows windows(const TunnelOptions& options) {
  const uint64_t sum = uint64_t{options.window_bytes} * options.channels_max;
  return {options.window_bytes, static_cast<uint32_t>(std::min<uint64_t>(sum, INT32_MAX))};
}

}  // namespace

TunnelConnection::TunnelConnection(Loop& loop, std::unique_ptr<ByteStream> beneath,
                                   const TunnelOptions& options, Listener* listener)
    : loop_(loop),
      listener_(listener),
      options_(options),
      beneath_(std::move(beneath)),
      guard_(options.limits),
      client_(*this, windows(options)),
      liveness_(loop, options.limits.ping_after, options.limits.ping_timeout, *this),
      work_(loop, [this] { work(); }) {
  beneath_->set_listener(this);
  work_.schedule();
}

TunnelConnection::~TunnelConnection() {
  beneath_->set_listener(nullptr);
  for (TunnelStream* stream : streams_)
    stream->lose();
}

void TunnelConnection::leave() {
  if (std::exchange(has_left_, true)) return;
  liveness_.stop();
  client_.leave();
  work_.schedule();
}

void TunnelConnection::silence() {
  listener_ = nullptr;
  liveness_.stop();
  for (TunnelStream* stream : std::exchange(streams_, {}))
    stream->lose();
}

void TunnelConnection::join(TunnelStream& stream) {
  streams_.push_back(&stream);
  work_.schedule();
}

void TunnelConnection::part(TunnelStream& stream) {
  std::erase(streams_, &stream);
  work_.schedule();
}

// A stream may join in here; none parts, as none is destroyed in a callback.
template <class Visit>
void TunnelConnection::for_each_stream(Visit visit) {
  for (size_t index = 0; index < streams_.size(); ++index)
    visit(*streams_[index]);
}

// The connection is read in any case: it is more than one stream.
void TunnelConnection::on_bytes(Bytes bytes) {
  if (has_failed_) return;
  liveness_.note_bytes();
  for (uint32_t unknown = scanner_.scan(bytes, UINT32_MAX).unknown; unknown > 0; --unknown)
    guard_.note_control_frame(loop_.now_ms());
  client_.receive(bytes);
  work_.schedule();
  if (guard_.judge() == FrameGuard::Judgement::kCloseNow) {
    fail({ErrorKind::kProtocol, Side::kGateway,
          "the gateway floods the tunnel's connection with frames that carry nothing", false});
  }
}

void TunnelConnection::on_end() {
  fail({ErrorKind::kClosed, Side::kGateway,
        has_settings_ ? "the gateway closed the connection that carries the channel"
                      : "the gateway closed the connection before it was reversed",
        true});
}

void TunnelConnection::on_failed(const Error& error) {
  fail(error);
}

void TunnelConnection::on_sent() {
  if (has_failed_) return;
  flush();
  for_each_stream([](TunnelStream& stream) { stream.on_carrier_sent(); });
}

void TunnelConnection::on_frame(Nghttp2Client::FrameKind kind) {
  if (kind == Nghttp2Client::FrameKind::kControl) guard_.note_control_frame(loop_.now_ms());
  if (kind == Nghttp2Client::FrameKind::kEmpty) guard_.note_empty_frame(loop_.now_ms());
}

void TunnelConnection::on_settings() {
  if (std::exchange(has_settings_, true)) return;
  liveness_.begin();
  if (listener_ != nullptr) listener_->on_tunnels_ready();
  work_.schedule();
}

void TunnelConnection::on_goaway() {
  if (has_left_) return;
  gateway_leaves_ = true;
  if (listener_ != nullptr) listener_->on_tunnels_leaving();
  for_each_stream([](TunnelStream& stream) { stream.on_carrier_leaving(); });
}

void TunnelConnection::on_ping_answered() {
  liveness_.note_ping_answered();
}

void TunnelConnection::send_ping() {
  client_.send_ping();
  work_.schedule();
}

void TunnelConnection::on_dead() {
  fail({ErrorKind::kTimeout, Side::kGateway,
        "the gateway did not answer a PING within " +
            std::to_string(options_.limits.ping_timeout.count()) +
            " ms on the connection that carries the channel",
        false});
}

bool TunnelConnection::has_open_streams() const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const TunnelStream* stream) { return stream->is_open(); });
}

void TunnelConnection::work() {
  if (has_failed_) return;
  if (has_settings_) {
    const auto extended_connect = client_.takes_extended_connect()
                                      ? TunnelStream::ExtendedConnect::kTaken
                                      : TunnelStream::ExtendedConnect::kRefused;
    for_each_stream([&](TunnelStream& stream) {
      stream.on_carrier_ready(extended_connect);
      stream.deliver();
    });
  }
  flush();
  for_each_stream([](TunnelStream& stream) { stream.on_carrier_flushed(); });
}

void TunnelConnection::flush() {
  if (gateway_leaves_ && !has_open_streams()) leave();
  while (beneath_->unsent_bytes() < kUnsentBytesMax) {
    const Bytes frame = client_.next_frame();
    if (frame.empty()) break;
    beneath_->write(frame);
  }
  if (has_left_ && !std::exchange(beneath_shut_, true)) beneath_->shutdown();
  if (has_left_ || !client_.is_over()) return;
  fail({ErrorKind::kProtocol, Side::kGateway,
        "HTTP/2 of the tunnel's connection: " + client_.complaint(), false});
}

void TunnelConnection::fail(const Error& error) {
  if (std::exchange(has_failed_, true)) return;
  liveness_.stop();
  for_each_stream([&](TunnelStream& stream) { stream.fail(error); });
  if (listener_ != nullptr) std::exchange(listener_, nullptr)->on_tunnels_over(error);
}

}  // namespace ptth
