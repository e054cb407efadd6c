#include "common/check.h"
#include "tests/gateway/unused_worker.h"

#include <string_view>
#include <utility>

namespace ptth::dev {

namespace {

constexpr std::string_view kPing = "RPING";
constexpr int kMissedMax = 3;

// Steps:
//
//   kHandover -- TLS is left --> kIdle -- use() --> kEchoes -- none is owed --> kSecuring --> kDone
//
// kHandover: the answer to the hello is still on its way through TLS. kEchoes: what the worker owes
// must not be taken for the beginning of what follows. Each ends in kDone when the worker is lost.
enum class Step { kHandover, kIdle, kEchoes, kSecuring, kDone };

class UnusedEnvoy final : public UnusedWorker,
                          private ByteStream::Listener,
                          private TlsStream::HandshakeListener {
 public:
  UnusedEnvoy(Loop& loop, std::unique_ptr<ByteStream> stream, RecordGate* gate, Options options,
              UnusedWorker::Listener& listener)
      : loop_(loop),
        options_(std::move(options)),
        listener_(listener),
        stream_(std::move(stream)),
        gate_(gate),
        turn_(loop, [this] { end_of_turn(); }),
        ping_timer_(loop, [this] { ping(); }),
        wait_timer_(loop, [this] { waited(); }) {
    if (gate_ != nullptr) {
      gate_->divert(*this);
    } else {
      stream_->set_listener(this);
    }
    // Behind TLS in the order of the turn, which still has to encrypt the answer.
    turn_.schedule();
  }

  ~UnusedEnvoy() override {
    if (stream_) stream_->set_listener(nullptr);
    if (secured_) secured_->set_listener(nullptr);
  }

  UnusedEnvoy(const UnusedEnvoy&) = delete;
  UnusedEnvoy& operator=(const UnusedEnvoy&) = delete;
  UnusedEnvoy(UnusedEnvoy&&) = delete;
  UnusedEnvoy& operator=(UnusedEnvoy&&) = delete;

  void use() override {
    CHECK_INVARIANT(!used_);
    used_ = true;
    turn_.schedule();
  }

  [[nodiscard]] const Options& options() const override { return options_; }

 private:
  // The same every time, and not the same for two of them.
  [[nodiscard]] Milliseconds jitter() const {
    const auto spread = static_cast<uint64_t>(options_.ping_interval.count()) / 10 + 1;
    return Milliseconds((options_.number * 61 + pings_ * 37) % spread);
  }

  void end_of_turn() {
    if (step_ == Step::kDone) return;
    if (step_ == Step::kHandover) {
      leave_tls();
      step_ = Step::kIdle;
      ping_timer_.start(options_.ping_interval + jitter());
    }
    if (step_ == Step::kIdle && used_) {
      step_ = Step::kEchoes;
      ping_timer_.stop();
    }
    if (step_ == Step::kEchoes && owed_ == 0) begin();
  }

  void leave_tls() {
    if (gate_ == nullptr) return;
    std::unique_ptr<ByteStream> raw = std::exchange(gate_, nullptr)->release();
    loop_.retire(std::move(stream_));
    stream_ = std::move(raw);
    stream_->set_listener(this);
  }

  void ping() {
    ++pings_;
    owed_ += kPing.size();
    stream_->write({reinterpret_cast<const uint8_t*>(kPing.data()), kPing.size()});
    ping_timer_.start(options_.ping_interval + jitter());
    wait_timer_.start(options_.ping_interval / 2);
  }

  void waited() {
    if (step_ == Step::kSecuring) {
      lose({ErrorKind::kTimeout, Side::kOrigin, "the inner TLS took too long"});
    } else if (++missed_ >= kMissedMax || step_ == Step::kEchoes) {
      lose({ErrorKind::kTimeout, Side::kOrigin,
            "the worker did not echo RPING, " + std::to_string(missed_) + " of them"});
    }
  }

  void on_bytes(Bytes bytes) override {
    if (step_ == Step::kDone) return;
    if (step_ == Step::kHandover) return lose(broken("something was sent behind the hello"));
    for (const uint8_t byte : bytes) {
      if (owed_ == 0) return lose(broken("something was sent that is no echo of an RPING"));
      const size_t at = (kPing.size() - owed_ % kPing.size()) % kPing.size();
      if (static_cast<char>(byte) != kPing[at]) {
        return lose(broken("what came back for an RPING is something else"));
      }
      --owed_;
    }
    if (owed_ > 0) return;
    missed_ = 0;
    wait_timer_.stop();
    if (step_ == Step::kEchoes) turn_.schedule();
  }

  void on_end() override {
    lose({ErrorKind::kClosed, Side::kOrigin, "the worker closed an unused connection"});
  }

  void on_failed(const Error& error) override { lose(error); }

  void on_sent() override {}

  void begin() {
    wait_timer_.stop();
    stream_->set_listener(nullptr);
    if (options_.inner_tls == nullptr) {
      step_ = Step::kDone;
      listener_.on_worker_usable(*this, std::move(stream_));
      return;
    }
    step_ = Step::kSecuring;
    TlsStream::Parameters parameters;
    parameters.server_name = options_.inner_name;
    parameters.alpn = {"h2"};
    parameters.require_alpn = false;
    parameters.peer = Side::kOrigin;
    secured_ = TlsStream::connect(loop_, *options_.inner_tls, std::move(stream_),
                                  std::move(parameters), *this);
    wait_timer_.start(options_.handshake_timeout);
  }

  void on_secured() override {
    wait_timer_.stop();
    step_ = Step::kDone;
    listener_.on_worker_usable(*this, std::move(secured_));
  }

  void on_handshake_failed(const Error& error) override {
    Error inner = error;
    inner.detail = "inner TLS: " + error.detail;
    lose(inner);
  }

  static Error broken(const std::string& what) {
    return {ErrorKind::kProtocol, Side::kOrigin,
            what + " (" + std::string(source_of(WorkerProfile::kEnvoy)) + ")"};
  }

  void lose(const Error& error) {
    if (step_ == Step::kDone) return;
    step_ = Step::kDone;
    ping_timer_.stop();
    wait_timer_.stop();
    listener_.on_worker_lost(*this, error);
  }

  Loop& loop_;
  Options options_;
  UnusedWorker::Listener& listener_;
  Step step_ = Step::kHandover;
  bool used_ = false;
  std::unique_ptr<ByteStream> stream_;
  RecordGate* gate_;
  std::unique_ptr<TlsStream> secured_;
  uint64_t pings_ = 0;
  size_t owed_ = 0;  // Bytes of echoes.
  int missed_ = 0;
  EndOfTurn turn_;
  Timer ping_timer_;
  Timer wait_timer_;
};

}  // namespace

std::unique_ptr<UnusedWorker> UnusedWorker::envoy(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                  RecordGate* gate, Options options,
                                                  Listener& listener) {
  return std::make_unique<UnusedEnvoy>(loop, std::move(stream), gate, std::move(options), listener);
}

}  // namespace ptth::dev
