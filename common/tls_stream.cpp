#include "common/tls_stream.h"

#include "common/byte_queue.h"
#include "common/tls_context.h"
#include "common/tls_engine.h"

#include <optional>
#include <span>
#include <utility>

namespace ptth {

namespace {

// The most plaintext that one record carries (RFC 8446 section 5.1).
constexpr size_t kRecordBytesMax = size_t{16} * 1024;

}  // namespace

//   kHandshaking --on_secured--> kOpen --on_failed--> kFailed
//        |                                               ^
//        +--------------on_handshake_failed--------------+
//
// Incoming bytes are decrypted straight from the span of the stream beneath. Only when nobody may
// be told (no listener, or paused in the middle of a span) what is left of them is copied.
class TlsConnection final : public TlsStream, private ByteStream::Listener {
 public:
  TlsConnection(Loop& loop, OpenSslContext& context, std::unique_ptr<ByteStream> beneath,
                Parameters parameters, HandshakeListener& handshake_listener)
      : loop_(loop),
        context_(context),
        handshake_listener_(handshake_listener),
        beneath_(std::move(beneath)),
        engine_(context, std::move(parameters), *beneath_),
        end_of_turn_(loop, [this] { on_end_of_turn(); }) {}

  ~TlsConnection() override { give_back_pending(); }

  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;
  TlsConnection(TlsConnection&&) = delete;
  TlsConnection& operator=(TlsConnection&&) = delete;

  void start(TlsEngine::Role role);

  void set_listener(ByteStream::Listener* listener) override {
    listener_ = listener;
    on_reading_changed();
  }

  void write(Bytes bytes) override;

  [[nodiscard]] size_t unsent_bytes() const override {
    return pending_.size() + beneath_->unsent_bytes();
  }

  void pause_reading() override {
    paused_ = true;
    on_reading_changed();
  }

  void resume_reading() override {
    paused_ = false;
    on_reading_changed();
  }

  void shutdown() override {
    shutdown_wanted_ = true;
    end_of_turn_.schedule();
  }

  void break_off() override { beneath_->break_off(); }

  void bound_kernel_unsent(size_t bytes) override { beneath_->bound_kernel_unsent(bytes); }

  [[nodiscard]] std::string_view alpn() const override { return engine_.alpn(); }

  [[nodiscard]] std::string_view tls_version() const override { return engine_.tls_version(); }

  [[nodiscard]] bool asked_for_certificate() const override {
    return engine_.asked_for_certificate();
  }

  [[nodiscard]] std::string peer_common_name() const override { return engine_.peer_common_name(); }

  [[nodiscard]] std::optional<std::string> exporter_value(std::string_view label) const override {
    return engine_.exporter_value(label);
  }

 private:
  enum class State { kHandshaking, kOpen, kFailed };

  // The stream beneath.
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  void on_end_of_turn();
  void advance();
  void advance_handshake();
  [[nodiscard]] bool read_and_deliver();
  void keep_rest();
  void deliver_backlog();
  void deliver_end();

  [[nodiscard]] bool encrypt(Bytes bytes);
  void encrypt_pending();
  void append_pending(Bytes bytes);
  void give_back_pending();
  void shut_if_sent();

  [[nodiscard]] Error closed_in_handshake() const {
    return engine_.peer_error(ErrorKind::kClosed, "it closed the connection in the TLS handshake");
  }

  void fail(Error error);
  void report_failure();

  // The listener may be called with bytes.
  [[nodiscard]] bool deliverable() const {
    return state_ == State::kOpen && listener_ != nullptr && !paused_;
  }

  void on_reading_changed();
  void update_reading_beneath();

  Loop& loop_;
  OpenSslContext& context_;
  HandshakeListener& handshake_listener_;
  ByteStream::Listener* listener_ = nullptr;
  std::unique_ptr<ByteStream> beneath_;
  TlsEngine engine_;  // Uses the stream beneath.
  EndOfTurn end_of_turn_;
  State state_ = State::kHandshaking;
  ByteQueue pending_;             // Plaintext for the next record.
  ByteQueue backlog_;             // Records that came while nobody could be told.
  std::optional<Error> failure_;  // Not reported yet.
  bool secured_ = false;
  bool shutdown_wanted_ = false;
  bool shut_ = false;
  bool paused_ = false;
  bool beneath_paused_ = false;
  bool beneath_ended_ = false;
  bool received_end_ = false;  // close_notify.
  bool end_delivered_ = false;
};

void TlsConnection::start(TlsEngine::Role role) {
  beneath_->set_listener(this);
  const Result<void> configured = engine_.configure(role);
  if (!configured) fail(configured.error());
  end_of_turn_.schedule();
}

void TlsConnection::on_bytes(Bytes bytes) {
  if (state_ == State::kFailed || received_end_) return;
  if (!backlog_.empty()) return backlog_.append(bytes);
  engine_.set_incoming(bytes);
  advance();
  keep_rest();
}

// For when somebody may be told again.
void TlsConnection::keep_rest() {
  const Bytes rest = engine_.incoming();
  engine_.set_incoming({});
  if (state_ != State::kFailed && !received_end_) backlog_.append(rest);
}

void TlsConnection::on_end() {
  beneath_ended_ = true;
  if (state_ == State::kHandshaking) {
    fail(closed_in_handshake());
    return report_failure();
  }
  deliver_end();
}

void TlsConnection::on_failed(const Error& error) {
  if (state_ == State::kFailed) return;
  fail(error);
  report_failure();
}

void TlsConnection::on_sent() {
  if (state_ == State::kOpen && listener_ != nullptr) listener_->on_sent();
}

void TlsConnection::on_end_of_turn() {
  if (failure_) return report_failure();
  if (state_ == State::kHandshaking) return advance();
  if (state_ != State::kOpen) return;
  encrypt_pending();
  shut_if_sent();
  if (failure_) return report_failure();
  deliver_backlog();
}

// Takes from engine_.incoming() what may be taken now.
void TlsConnection::advance() {
  if (state_ == State::kHandshaking) advance_handshake();
  while (deliverable() && !received_end_ && !engine_.incoming().empty()) {
    if (!read_and_deliver()) break;
  }
  if (failure_) return report_failure();
  if (state_ != State::kOpen) return;
  update_reading_beneath();
  // Also what OpenSSL could not take while it waited for the rest of a message of its own.
  if (!pending_.empty()) end_of_turn_.schedule();
  deliver_end();
}

void TlsConnection::advance_handshake() {
  const TlsEngine::Outcome outcome = engine_.handshake();
  if (outcome == TlsEngine::Outcome::kWait) return;
  if (outcome == TlsEngine::Outcome::kEnd) return fail(closed_in_handshake());
  if (outcome != TlsEngine::Outcome::kDone) return fail(engine_.fault());
  state_ = State::kOpen;
  secured_ = true;
  if (!pending_.empty() || shutdown_wanted_) end_of_turn_.schedule();
  handshake_listener_.on_secured();
}

// Decrypts as many records as the scratch memory takes, and delivers them in one call. False when
// OpenSSL has nothing more.
bool TlsConnection::read_and_deliver() {
  OpenSslContext::Scratch scratch = context_.take_scratch();
  std::span<uint8_t> room(scratch.get(), OpenSslContext::kScratchBytes);
  auto outcome = TlsEngine::Outcome::kDone;
  // A whole record always fits, so that OpenSSL never keeps a part of one from us.
  while (!engine_.incoming().empty() && room.size() >= kRecordBytesMax) {
    size_t count = 0;
    outcome = engine_.read(room, count);
    if (outcome != TlsEngine::Outcome::kDone) break;
    room = room.subspan(count);
  }
  if (outcome == TlsEngine::Outcome::kEnd) received_end_ = true;
  if (outcome == TlsEngine::Outcome::kFailed) failure_ = engine_.fault();
  const size_t filled = OpenSslContext::kScratchBytes - room.size();
  if (filled > 0) listener_->on_bytes({scratch.get(), filled});
  context_.give_scratch(std::move(scratch));
  if (failure_) fail(*std::exchange(failure_, std::nullopt));
  return outcome == TlsEngine::Outcome::kDone;
}

void TlsConnection::deliver_backlog() {
  if (backlog_.empty() || !deliverable()) return deliver_end();
  // Nothing is appended in the meantime: the stream beneath speaks only from the loop.
  ByteQueue backlog = std::exchange(backlog_, {});
  engine_.set_incoming(backlog.front());
  advance();
  keep_rest();
}

void TlsConnection::deliver_end() {
  const bool all_read = backlog_.empty() && engine_.incoming().empty();
  const bool over = received_end_ || (beneath_ended_ && all_read);
  if (!over || end_delivered_ || !deliverable()) return;
  end_delivered_ = true;
  listener_->on_end();
}

void TlsConnection::write(Bytes bytes) {
  if (state_ == State::kFailed || failure_ || shutdown_wanted_ || bytes.empty()) return;
  if (state_ == State::kOpen && pending_.size() + bytes.size() >= kRecordBytesMax) {
    // What fills a record by itself is encrypted from where it is.
    if (!pending_.empty() && pending_.size() < kRecordBytesMax && bytes.size() < kRecordBytesMax) {
      const size_t rest = kRecordBytesMax - pending_.size();
      append_pending(bytes.first(rest));
      bytes = bytes.subspan(rest);
    }
    encrypt_pending();
    const size_t whole = bytes.size() - bytes.size() % kRecordBytesMax;
    if (state_ == State::kOpen && pending_.empty() && whole > 0 && encrypt(bytes.first(whole))) {
      bytes = bytes.subspan(whole);
    }
    if (state_ == State::kFailed) return;
  }
  append_pending(bytes);
  end_of_turn_.schedule();
}

// False if OpenSSL did not take the bytes: it waits for the rest of a message of the peer's, or has
// failed. Never calls the listener.
bool TlsConnection::encrypt(Bytes bytes) {
  const TlsEngine::Outcome outcome = engine_.write(bytes);
  if (outcome == TlsEngine::Outcome::kFailed) {
    fail(engine_.fault());
    end_of_turn_.schedule();
  }
  return outcome == TlsEngine::Outcome::kDone;
}

void TlsConnection::encrypt_pending() {
  if (pending_.empty() || !encrypt(pending_.front())) return;
  give_back_pending();
}

void TlsConnection::append_pending(Bytes bytes) {
  if (bytes.empty()) return;
  if (pending_.capacity() == 0) pending_ = loop_.take_queue(kRecordBytesMax);
  pending_.append(bytes);
}

void TlsConnection::give_back_pending() {
  pending_.clear();
  loop_.give_queue(std::exchange(pending_, {}));
}

void TlsConnection::shut_if_sent() {
  if (!shutdown_wanted_ || shut_ || state_ != State::kOpen || !pending_.empty()) return;
  shut_ = true;
  engine_.send_close_notify();
  beneath_->shutdown();
}

void TlsConnection::fail(Error error) {
  failure_ = std::move(error);
  state_ = State::kFailed;
  give_back_pending();
  backlog_.clear();
  // An alert may still leave from it.
  beneath_->set_listener(nullptr);
}

void TlsConnection::report_failure() {
  if (!secured_) {
    const Error failure = *std::exchange(failure_, std::nullopt);
    return handshake_listener_.on_handshake_failed(failure);
  }
  if (listener_ == nullptr) return;
  const Error failure = *std::exchange(failure_, std::nullopt);
  std::exchange(listener_, nullptr)->on_failed(failure);
}

void TlsConnection::on_reading_changed() {
  if (state_ == State::kHandshaking) return;
  const bool waiting = !backlog_.empty() || received_end_ || beneath_ended_;
  if (failure_ || (waiting && !end_delivered_ && deliverable())) end_of_turn_.schedule();
  update_reading_beneath();
}

// After close_notify it goes on, so that the end and a failure of the connection are noticed.
void TlsConnection::update_reading_beneath() {
  const bool wanted = deliverable() || received_end_;
  if (state_ != State::kOpen || wanted != beneath_paused_) return;
  beneath_paused_ = !wanted;
  if (wanted) {
    beneath_->resume_reading();
  } else {
    beneath_->pause_reading();
  }
}

std::unique_ptr<TlsStream> TlsStream::connect(Loop& loop, TlsContext& context,
                                              std::unique_ptr<ByteStream> beneath,
                                              Parameters parameters, HandshakeListener& listener) {
  auto connection =
      std::make_unique<TlsConnection>(loop, static_cast<OpenSslContext&>(context),
                                      std::move(beneath), std::move(parameters), listener);
  connection->start(TlsEngine::Role::kClient);
  return connection;
}

std::unique_ptr<TlsStream> TlsStream::accept(Loop& loop, TlsContext& context,
                                             std::unique_ptr<ByteStream> beneath,
                                             Parameters parameters, HandshakeListener& listener) {
  auto connection =
      std::make_unique<TlsConnection>(loop, static_cast<OpenSslContext&>(context),
                                      std::move(beneath), std::move(parameters), listener);
  connection->start(TlsEngine::Role::kServer);
  return connection;
}

}  // namespace ptth
