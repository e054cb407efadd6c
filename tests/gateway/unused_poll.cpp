#include "tests/gateway/unused_worker.h"

#include <utility>

namespace ptth::dev {

namespace {

Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// kWaiting -> kUsed -> kDone, and from each to kDone.
enum class Step { kWaiting, kUsed, kDone };

class UnusedPoll final : public UnusedWorker, private ByteStream::Listener {
 public:
  UnusedPoll(Loop& loop, std::unique_ptr<ByteStream> stream, std::string answer, Options options,
             UnusedWorker::Listener& listener)
      : options_(std::move(options)),
        listener_(listener),
        stream_(std::move(stream)),
        answer_(std::move(answer)),
        turn_(loop, [this] { give(); }),
        timer_(loop, [this] { lapse(); }) {
    stream_->set_listener(this);
    timer_.start(options_.wait_max);
  }

  ~UnusedPoll() override {
    if (stream_) stream_->set_listener(nullptr);
  }

  UnusedPoll(const UnusedPoll&) = delete;
  UnusedPoll& operator=(const UnusedPoll&) = delete;
  UnusedPoll(UnusedPoll&&) = delete;
  UnusedPoll& operator=(UnusedPoll&&) = delete;

  void use() override {
    step_ = Step::kUsed;
    timer_.stop();
    turn_.schedule();
  }

  [[nodiscard]] const Options& options() const override { return options_; }

 private:
  void give() {
    if (step_ != Step::kUsed) return;
    step_ = Step::kDone;
    stream_->write(bytes_of(answer_));
    stream_->set_listener(nullptr);
    listener_.on_worker_usable(*this, std::move(stream_));
  }

  void lapse() {
    if (step_ != Step::kWaiting) return;
    step_ = Step::kDone;
    stream_->write(bytes_of("HTTP/1.1 204 No Content\r\n\r\n"));
    stream_->set_listener(nullptr);
    listener_.on_worker_lapsed(*this, std::move(stream_));
  }

  void on_bytes(Bytes /*bytes*/) override {
    lose({ErrorKind::kProtocol, Side::kOrigin,
          "something was sent behind the hello (" + std::string(source_of(WorkerProfile::kPtth10)) +
              ")"});
  }

  void on_end() override {
    lose({ErrorKind::kClosed, Side::kOrigin, "the worker closed an unused connection"});
  }

  void on_failed(const Error& error) override { lose(error); }

  void on_sent() override {}

  void lose(const Error& error) {
    if (step_ == Step::kDone) return;
    step_ = Step::kDone;
    timer_.stop();
    listener_.on_worker_lost(*this, error);
  }

  Options options_;
  UnusedWorker::Listener& listener_;
  Step step_ = Step::kWaiting;
  std::unique_ptr<ByteStream> stream_;
  std::string answer_;
  EndOfTurn turn_;
  Timer timer_;
};

}  // namespace

std::unique_ptr<UnusedWorker> UnusedWorker::poll(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                 std::string answer, Options options,
                                                 Listener& listener) {
  return std::make_unique<UnusedPoll>(loop, std::move(stream), std::move(answer),
                                      std::move(options), listener);
}

}  // namespace ptth::dev
