#include "tests/gateway/worker_hello.h"

#include "common/check.h"

#include <utility>

namespace ptth::dev {

namespace {

Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

WorkerHello::WorkerHello(Loop& loop, std::unique_ptr<ByteStream> stream, Options options,
                         Listener& listener)
    : loop_(loop),
      options_(std::move(options)),
      listener_(listener),
      stream_(std::move(stream)),
      parser_(options_.scheme, {}, Side::kOrigin),
      timer_(loop, [this] {
        if (is_refused_) {
          end();
        } else {
          refuse({408, "the hello was not whole in time"});
        }
      }) {
  parser_.start();
  stream_->set_listener(this);
  timer_.start(options_.timeout);
}

WorkerHello::~WorkerHello() {
  if (stream_) stream_->set_listener(nullptr);
}

void WorkerHello::on_bytes(Bytes bytes) {
  if (is_refused_) return;
  switch (parser_.next(bytes)) {
    case Http1Event::kNeedMore:
      return;
    case Http1Event::kHead:
      judge(bytes);
      return;
    case Http1Event::kFailed:
      refuse({parser_.status(), parser_.error().detail});
      return;
    case Http1Event::kInterimHead:
    case Http1Event::kBody:
    case Http1Event::kEnd:
      CHECK_INVARIANT(false);
  }
}

void WorkerHello::judge(Bytes rest) {
  HelloVerdict verdict = judge_hello(options_.rules, parser_.head(), parser_.upgrade());
  // protocols.md section 0: the worker is silent until we have spoken.
  if (verdict.status == 101 && !rest.empty()) {
    verdict = {400, "something was sent behind the hello"};
  }
  if (const auto fault = std::exchange(options_.fault_status, std::nullopt)) {
    verdict = {*fault, "by fault"};
  }
  if (verdict.status != 101) {
    refuse(std::move(verdict));
    return;
  }
  timer_.stop();
  stream_->write(bytes_of(hello_answer(options_.rules, verdict)));
  stream_->set_listener(nullptr);
  listener_.on_hello_accepted(*this, std::move(stream_));
}

void WorkerHello::refuse(const HelloVerdict& verdict) {
  stream_->write(bytes_of(hello_answer(options_.rules, verdict)));
  if (verdict.status == 204) {
    // We gave up waiting, and hear the next hello.
    parser_.start();
    timer_.start(options_.timeout);
  } else {
    is_refused_ = true;
    stream_->shutdown();
    timer_.start(options_.close_timeout);
  }
  listener_.on_hello_refused(*this, verdict);
}

void WorkerHello::end() {
  timer_.stop();
  listener_.on_hello_ended(*this);
}

}  // namespace ptth::dev
