#include "agent/link/tunnel_stream.h"

#include "common/http_rules.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ptth {

namespace {

// Of the gateway's answer, as that of one over HTTP/1.1.
constexpr size_t kHeadBytesMax = size_t{16} * 1024;
constexpr size_t kHeadFieldsMax = 64;
constexpr size_t kFieldOverhead = 32;

}  // namespace

TunnelStream::TunnelStream(std::unique_ptr<TunnelConnection> own)
    : own_(std::move(own)), connection_(own_.get()) {
  connection_->join(*this);
}

TunnelStream::TunnelStream(Lender& lender) : lender_(&lender) {}

TunnelStream::~TunnelStream() {
  if (is_open()) {
    const bool is_done = shutdown_wanted_ && outgoing_.empty();
    connection_->client().give_up(
        id_, is_done ? Nghttp2Client::GivingUp::kDone : Nghttp2Client::GivingUp::kCancelled);
  }
  if (connection_ != nullptr) connection_->part(*this);
  if (lender_ != nullptr) lender_->on_returned(*this);
}

void TunnelStream::carry(TunnelConnection& connection, const Carrier& carrier) {
  connection_ = &connection;
  connection.join(*this);
  owner_->on_tunnel_carried(carrier);
}

bool TunnelStream::ask(const std::vector<Nghttp2Client::FieldView>& fields) {
  if (connection_ == nullptr) return false;
  id_ = connection_->client().open(fields, *this);
  work_soon();
  return id_ != 0;
}

void TunnelStream::set_listener(ByteStream::Listener* listener) {
  listener_ = listener;
  work_soon();
}

void TunnelStream::write(Bytes bytes) {
  if (failed_ || shutdown_wanted_) return;
  outgoing_.append(bytes);
  send_soon();
}

// A connection that is shared keeps what it has taken when the stream goes, and others fill it too.
size_t TunnelStream::unsent_bytes() const {
  return outgoing_.size() + (own_ ? own_->unsent_bytes() : 0);
}

void TunnelStream::pause_reading() {
  paused_ = true;
}

void TunnelStream::resume_reading() {
  paused_ = false;
  work_soon();
}

void TunnelStream::shutdown() {
  shutdown_wanted_ = true;
  send_soon();
}

void TunnelStream::break_off() {
  shutdown_wanted_ = false;
}

void TunnelStream::work_soon() {
  if (connection_ != nullptr) connection_->flush_soon();
}

void TunnelStream::send_soon() {
  if (is_open()) connection_->client().resume(id_);
  work_soon();
}

void TunnelStream::return_credit(size_t count) {
  if (is_open()) connection_->client().return_credit(id_, count);
}

void TunnelStream::on_carrier_ready(ExtendedConnect extended_connect) {
  if (!std::exchange(is_ready_, true)) owner_->on_tunnel_ready(extended_connect);
}

void TunnelStream::on_carrier_leaving() {
  if (!failed_) owner_->on_tunnel_leaving();
}

void TunnelStream::on_carrier_flushed() {
  const bool has_shrunk = std::exchange(outgoing_shrank_, false);
  if (has_shrunk && !own_ && listener_ != nullptr) listener_->on_sent();
}

void TunnelStream::on_carrier_sent() {
  const bool has_shrunk = std::exchange(outgoing_shrank_, false) || own_ != nullptr;
  if (has_shrunk && listener_ != nullptr) listener_->on_sent();
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

void TunnelStream::on_fields_end(Nghttp2Client::Ending ending) {
  if (has_answer_ || failed_) return;
  const bool is_too_large = head_bytes_ > kHeadBytesMax;
  const ResponseHead head = std::exchange(head_, {});
  head_bytes_ = 0;
  if (is_too_large) {
    fail({ErrorKind::kProtocol, Side::kGateway, "the gateway's answer to the hello is too large",
          false});
    return;
  }
  if (head.status < 200 && ending == Nghttp2Client::Ending::kOpen) {
    owner_->on_tunnel_interim();
    return;
  }
  has_answer_ = true;
  owner_->on_tunnel_answer(head);
}

void TunnelStream::on_data(Bytes bytes) {
  if (!incoming_.empty() || !deliverable()) {
    if (!failed_) incoming_.append(bytes);
    return;
  }
  return_credit(bytes.size());
  listener_->on_bytes(bytes);
}

void TunnelStream::on_stream_end() {
  ended_ = true;
}

void TunnelStream::on_closed(uint32_t code, std::string_view name) {
  // Our half has ended too, or the gateway wants nothing more of it.
  id_ = 0;
  if (own_) own_->leave();
  is_done_ = ended_ && code == 0;
  if (is_done_) return;
  const std::string code_name(name);
  if (has_answer_) {
    fail({ErrorKind::kClosed, Side::kGateway, "the gateway ended the tunnel: " + code_name, true});
  } else {
    // It answers no extended CONNECT: another profile may fare better.
    fail({ErrorKind::kProtocol, Side::kGateway, "the gateway refused the tunnel: " + code_name,
          true});
  }
}

size_t TunnelStream::read_outgoing(std::span<uint8_t> memory, Nghttp2Client::Ending& ending) {
  const size_t count = std::min(memory.size(), outgoing_.size());
  if (count > 0) std::memcpy(memory.data(), outgoing_.front().data(), count);
  outgoing_.consume(count);
  outgoing_shrank_ |= count > 0;
  connection_->note_sent(count);
  if (shutdown_wanted_ && outgoing_.empty()) ending = Nghttp2Client::Ending::kEndOfStream;
  return count;
}

void TunnelStream::deliver() {
  if (!incoming_.empty() && deliverable()) {
    // Moved out: the listener may pause.
    const ByteQueue bytes = std::exchange(incoming_, {});
    return_credit(bytes.size());
    listener_->on_bytes(bytes.front());
  }
  if (!ended_ || end_delivered_ || !incoming_.empty() || !deliverable()) return;
  end_delivered_ = true;
  listener_->on_end();
}

void TunnelStream::fail(const Error& error) {
  if (is_done_ || std::exchange(failed_, true)) return;
  incoming_.clear();
  if (listener_ != nullptr) std::exchange(listener_, nullptr)->on_failed(error);
}

}  // namespace ptth
