#include "agent/link/tunnel_stream.h"

#include "common/http_rules.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace ptth {

namespace {

// Frames that the stream beneath has not sent yet; above it no more are made.
constexpr size_t kUnsentBytesMax = size_t{256} * 1024;
// Of the gateway's answer, as that of one over HTTP/1.1.
constexpr size_t kHeadBytesMax = size_t{16} * 1024;
constexpr size_t kHeadFieldsMax = 64;
constexpr size_t kFieldOverhead = 32;

}  // namespace

TunnelStream::TunnelStream(Loop& loop, std::unique_ptr<ByteStream> beneath,
                           const TunnelOptions& options, Owner& owner)
    : loop_(loop),
      owner_(owner),
      beneath_(std::move(beneath)),
      guard_(options.limits),
      tunnel_(*this, options.window_bytes),
      work_(loop, [this] {
        deliver();
        flush();
      }) {
  beneath_->set_listener(this);
  work_.schedule();
}

TunnelStream::~TunnelStream() {
  beneath_->set_listener(nullptr);
}

bool TunnelStream::ask(const std::vector<Nghttp2Tunnel::FieldView>& fields) {
  work_.schedule();
  return tunnel_.open(fields);
}

// The connection beneath is read in any case: it is more than our stream.
void TunnelStream::set_listener(ByteStream::Listener* listener) {
  listener_ = listener;
  work_.schedule();
}

void TunnelStream::write(Bytes bytes) {
  if (failed_ || shutdown_wanted_) return;
  outgoing_.append(bytes);
  tunnel_.resume();
  work_.schedule();
}

size_t TunnelStream::unsent_bytes() const {
  return outgoing_.size() + beneath_->unsent_bytes();
}

void TunnelStream::pause_reading() {
  paused_ = true;
}

void TunnelStream::resume_reading() {
  paused_ = false;
  work_.schedule();
}

void TunnelStream::shutdown() {
  shutdown_wanted_ = true;
  tunnel_.resume();
  work_.schedule();
}

void TunnelStream::on_bytes(Bytes bytes) {
  if (failed_) return;
  for (uint32_t unknown = scanner_.count_unknown(bytes); unknown > 0; --unknown)
    guard_.note_control_frame(loop_.now_ms());
  tunnel_.receive(bytes);
  work_.schedule();
  if (guard_.judge() == FrameGuard::Judgement::kCloseNow) {
    fail({ErrorKind::kProtocol, Side::kGateway,
          "the gateway floods the tunnel's connection with frames that carry nothing", false});
  }
}

void TunnelStream::on_end() {
  ended_ = true;
  work_.schedule();
}

void TunnelStream::on_failed(const Error& error) {
  fail(error);
}

void TunnelStream::on_sent() {
  if (failed_) return;
  flush();
  if (listener_ != nullptr) listener_->on_sent();
}

void TunnelStream::on_frame(Nghttp2Tunnel::FrameKind kind) {
  if (kind == Nghttp2Tunnel::FrameKind::kControl) guard_.note_control_frame(loop_.now_ms());
  if (kind == Nghttp2Tunnel::FrameKind::kEmpty) guard_.note_empty_frame(loop_.now_ms());
}

void TunnelStream::on_settings() {
  if (std::exchange(has_settings_, true)) return;
  owner_.on_tunnel_ready(tunnel_.takes_extended_connect() ? ExtendedConnect::kTaken
                                                          : ExtendedConnect::kRefused);
}

void TunnelStream::on_field(std::string_view name, std::string_view value) {
  if (has_answer_) return;
  head_bytes_ += name.size() + value.size() + kFieldOverhead;
  if (head_bytes_ > kHeadBytesMax || head_.fields.size() >= kHeadFieldsMax) return;
  if (name == ":status") {
    head_.status = static_cast<int>(parse_content_length(value).value_or(0));
  } else {
    head_.fields.add(name, value);
  }
}

void TunnelStream::on_fields_end(Nghttp2Tunnel::Ending ending) {
  if (has_answer_ || failed_) return;
  const bool is_too_large = head_bytes_ > kHeadBytesMax;
  const ResponseHead head = std::exchange(head_, {});
  head_bytes_ = 0;
  if (is_too_large) {
    fail({ErrorKind::kProtocol, Side::kGateway, "the gateway's answer to the hello is too large",
          false});
    return;
  }
  if (head.status < 200 && ending == Nghttp2Tunnel::Ending::kOpen) {
    owner_.on_tunnel_interim();
    return;
  }
  has_answer_ = true;
  owner_.on_tunnel_answer(head);
}

void TunnelStream::on_data(Bytes bytes) {
  if (!incoming_.empty() || !deliverable()) {
    incoming_.append(bytes);
    return;
  }
  tunnel_.return_credit(bytes.size());
  listener_->on_bytes(bytes);
}

void TunnelStream::on_stream_end() {
  ended_ = true;
}

void TunnelStream::on_closed(uint32_t code, std::string_view name) {
  // Our half has ended too, or the gateway wants nothing more of it.
  is_closed_ = true;
  tunnel_.leave();
  if (ended_ && code == 0) return;
  const bool is_refused = !has_answer_;
  fail({ErrorKind::kClosed, Side::kGateway,
        std::string(is_refused ? "the gateway refused the tunnel: "
                               : "the gateway ended the tunnel: ") +
            std::string(name),
        true});
}

size_t TunnelStream::read_outgoing(std::span<uint8_t> memory, Nghttp2Tunnel::Ending& ending) {
  const size_t count = std::min(memory.size(), outgoing_.size());
  if (count > 0) std::memcpy(memory.data(), outgoing_.front().data(), count);
  outgoing_.consume(count);
  guard_.earn_data(count);
  if (shutdown_wanted_ && outgoing_.empty()) ending = Nghttp2Tunnel::Ending::kEndOfStream;
  return count;
}

void TunnelStream::deliver() {
  if (!incoming_.empty() && deliverable()) {
    // Moved out: the listener may pause.
    const ByteQueue bytes = std::exchange(incoming_, {});
    tunnel_.return_credit(bytes.size());
    listener_->on_bytes(bytes.front());
  }
  if (!ended_ || end_delivered_ || !incoming_.empty() || !deliverable()) return;
  end_delivered_ = true;
  listener_->on_end();
}

void TunnelStream::flush() {
  while (beneath_->unsent_bytes() < kUnsentBytesMax) {
    const Bytes frame = tunnel_.next_frame();
    if (frame.empty()) break;
    beneath_->write(frame);
  }
  if (is_closed_ && !std::exchange(beneath_shut_, true)) beneath_->shutdown();
  if (is_closed_ || !tunnel_.is_over()) return;
  fail({ErrorKind::kProtocol, Side::kGateway,
        "HTTP/2 of the tunnel's connection: " + tunnel_.complaint(), false});
}

void TunnelStream::fail(const Error& error) {
  if (std::exchange(failed_, true)) return;
  incoming_.clear();
  if (listener_ != nullptr) std::exchange(listener_, nullptr)->on_failed(error);
}

}  // namespace ptth
