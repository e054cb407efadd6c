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
          refuse(no_by_source(options_.rules, 408, "the hello was not whole in time"));
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
      refuse(no_because(parser_.status(), "no HTTP/1.1 (RFC 9112): " + parser_.error().detail));
      return;
    case Http1Event::kInterimHead:
    case Http1Event::kBody:
    case Http1Event::kEnd:
      CHECK_INVARIANT(false);
  }
}

void WorkerHello::judge(Bytes rest) {
  const RequestHead& head = parser_.head();
  HelloVerdict verdict = judge_hello(options_.rules, {head, parser_.upgrade(), options_.name});
  // protocols.md section 0: the worker is silent until we have spoken.
  if (verdict.is_yes() && !rest.empty()) {
    verdict = no_by_source(options_.rules, 400, "something was sent behind the hello");
  }
  if (const auto fault = std::exchange(options_.fault_status, std::nullopt)) {
    verdict = no_by_fault(*fault, head);
  }
  if (!verdict.is_yes()) {
    refuse(verdict);
    return;
  }
  timer_.stop();
  if (options_.rules.profile != WorkerProfile::kPtth10) {
    stream_->write(bytes_of(hello_answer(options_.rules, verdict)));
  }
  stream_->set_listener(nullptr);
  listener_.on_hello_accepted(*this, verdict, std::move(stream_));
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
