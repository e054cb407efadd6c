#include "common/byte_queue.h"
#include "common/check.h"
#include "common/http1_request_parser.h"
#include "common/http1_writer.h"
#include "tests/gateway/user_session.h"

#include <string>
#include <utility>

namespace ptth::dev {

namespace {

// One request at a time: what the user sends behind it waits until it is answered.
class UserHttp1 final : public UserSession, private ResponseListener {
 public:
  UserHttp1(Loop& loop, std::unique_ptr<ByteStream> stream, Origin& origin, Options options,
            UserSession::Listener& listener);
  ~UserHttp1() override;

  void leave() override;
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

 private:
  // kNone -> kWaiting -> kBody -> kDone, and from kDone to kNone for the next request.
  enum class Answer { kNone, kWaiting, kBody, kDone };

  void on_interim_response(const ResponseHead& head) override;
  void on_response_head(const ResponseHead& head) override;
  void on_response_body(Bytes bytes) override;
  void on_response_end(const FieldList& trailers) override;
  void on_response_failed(const Error& error) override;
  void on_request_body_taken(size_t count) override;

  void take(Bytes input);
  void start_request();
  void give_body(Bytes bytes);
  void refuse(int status, std::string_view reason);
  void write_head(const ResponseHead& head);
  void send();
  void update_reading();
  void finish_answer();
  void next_request();
  void close();
  void end();

  Loop& loop_;
  Options options_;
  Origin& origin_;
  UserSession::Listener& listener_;
  std::unique_ptr<ByteStream> stream_;
  Http1RequestParser parser_;
  std::unique_ptr<OriginCall> call_;
  Answer answer_ = Answer::kNone;
  bool request_read_ = false;
  bool answer_paused_ = false;
  bool chunked_ = false;
  bool leaving_ = false;
  bool closing_ = false;
  bool ended_ = false;
  Http1Connection connection_ = Http1Connection::kKeepAlive;
  size_t untaken_ = 0;   // Of the request body: given to the Origin, which has not sent it yet.
  ByteQueue pipelined_;  // What came behind the request.
  ByteQueue out_;        // Empty between calls.
  EndOfTurn next_request_;
  Timer close_timer_;
};

UserHttp1::UserHttp1(Loop& loop, std::unique_ptr<ByteStream> stream, Origin& origin,
                     Options options, UserSession::Listener& listener)
    : loop_(loop),
      options_(std::move(options)),
      origin_(origin),
      listener_(listener),
      stream_(std::move(stream)),
      parser_(options_.scheme),
      next_request_(loop, [this] { next_request(); }),
      close_timer_(loop, [this] { end(); }) {
  parser_.start();
  stream_->set_listener(this);
}

UserHttp1::~UserHttp1() {
  stream_->set_listener(nullptr);
}

void UserHttp1::leave() {
  leaving_ = true;
  if (answer_ == Answer::kNone && !parser_.started()) close();
}

void UserHttp1::on_bytes(Bytes bytes) {
  if (closing_ || ended_) return;
  if (request_read_) {
    pipelined_.append(bytes);
    update_reading();
  } else {
    take(bytes);
  }
}

void UserHttp1::take(Bytes input) {
  while (!request_read_ && !closing_) {
    switch (parser_.next(input)) {
      case Http1Event::kNeedMore:
        return;
      case Http1Event::kHead:
        start_request();
        break;
      case Http1Event::kBody:
        give_body(parser_.body());
        break;
      case Http1Event::kEnd:
        request_read_ = true;
        if (call_ != nullptr && parser_.head().body != BodyKind::kNone) {
          call_->end_body(parser_.trailers());
        }
        break;
      case Http1Event::kFailed:
        refuse(parser_.status(), parser_.error().detail);
        return;
      case Http1Event::kInterimHead:
        CHECK_INVARIANT(false);
        return;
    }
  }
  pipelined_.append(input);
  update_reading();
}

void UserHttp1::start_request() {
  answer_ = Answer::kWaiting;
  connection_ =
      parser_.keep_alive_possible() ? Http1Connection::kKeepAlive : Http1Connection::kClose;
  RequestHead head = parser_.head();
  if (!options_.via.empty()) {
    head.fields.add("via", (parser_.http_1_0() ? "1.0 " : "1.1 ") + options_.via);
  }
  call_ = origin_.start(head, *this, {});
}

void UserHttp1::give_body(Bytes bytes) {
  if (call_ == nullptr) return;
  untaken_ += bytes.size();
  call_->write_body(bytes);
  update_reading();
}

// Answers without asking the origin, and closes: nobody knows where the next request begins.
void UserHttp1::refuse(int status, std::string_view reason) {
  loop_.retire(std::move(call_));
  if (answer_ == Answer::kBody) {
    end();
    return;
  }
  const std::string text = std::string(reason) + "\n";
  ResponseHead head;
  head.status = status;
  head.body = BodyKind::kLength;
  head.content_length = text.size();
  head.fields.add("content-type", "text/plain");
  connection_ = Http1Connection::kClose;
  write_head(head);
  out_.append({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  send();
  close();
}

void UserHttp1::write_head(const ResponseHead& head) {
  const bool http_1_0 = parser_.http_1_0();
  if (http_1_0 && head.body == BodyKind::kUnknown) connection_ = Http1Connection::kClose;
  const Http1ResponseOptions options{connection_, http_1_0, parser_.head().method == "HEAD"};
  if (const auto written = write_response_head(head, options, out_); !written) end();
}

void UserHttp1::send() {
  if (!ended_) stream_->write(out_.front());
  out_.clear();
}

void UserHttp1::on_interim_response(const ResponseHead& head) {
  if (call_ == nullptr || ended_ || parser_.http_1_0()) return;
  write_head(head);
  send();
}

void UserHttp1::on_response_head(const ResponseHead& head) {
  if (call_ == nullptr || ended_) return;
  answer_ = Answer::kBody;
  if (leaving_) connection_ = Http1Connection::kClose;
  chunked_ = head.body == BodyKind::kUnknown && !parser_.http_1_0();
  write_head(head);
  send();
}

void UserHttp1::on_response_body(Bytes bytes) {
  if (call_ == nullptr || ended_ || bytes.empty()) return;
  if (chunked_) write_chunk_begin(bytes.size(), out_);
  out_.append(bytes);
  if (chunked_) write_chunk_end(out_);
  send();
  if (!answer_paused_ && stream_->unsent_bytes() >= options_.download_bytes_max) {
    answer_paused_ = true;
    call_->pause_response();
  }
}

void UserHttp1::on_response_end(const FieldList& trailers) {
  if (call_ == nullptr || ended_) return;
  if (chunked_) write_last_chunk(trailers, out_);
  send();
  finish_answer();
}

void UserHttp1::on_response_failed(const Error& error) {
  if (call_ == nullptr || ended_) return;
  if (answer_ == Answer::kBody) {
    // An end that no parser takes for a whole answer.
    loop_.retire(std::move(call_));
    end();
  } else {
    refuse(502, error.detail);
  }
}

void UserHttp1::on_request_body_taken(size_t count) {
  if (call_ == nullptr || ended_) return;
  untaken_ -= count;
  update_reading();
}

void UserHttp1::update_reading() {
  if (ended_) return;
  constexpr size_t kPipelinedBytesMax = size_t{64} * 1024;
  if (untaken_ >= options_.upload_bytes_max || pipelined_.size() >= kPipelinedBytesMax) {
    stream_->pause_reading();
  } else {
    stream_->resume_reading();
  }
}

void UserHttp1::on_sent() {
  if (!answer_paused_ || stream_->unsent_bytes() > options_.download_bytes_max / 2) return;
  answer_paused_ = false;
  if (call_ != nullptr) call_->resume_response();
}

void UserHttp1::finish_answer() {
  loop_.retire(std::move(call_));
  answer_ = Answer::kDone;
  answer_paused_ = false;
  if (connection_ == Http1Connection::kClose || leaving_ || !request_read_) {
    close();
  } else {
    next_request_.schedule();
  }
}

void UserHttp1::next_request() {
  if (closing_ || ended_) return;
  parser_.start();
  answer_ = Answer::kNone;
  request_read_ = false;
  untaken_ = 0;
  ByteQueue waiting;
  std::swap(waiting, pipelined_);
  take(waiting.front());
  update_reading();
}

// Our answer must reach the user before a reset would, so his bytes are taken until he ends too.
void UserHttp1::close() {
  if (closing_ || ended_) return;
  closing_ = true;
  stream_->shutdown();
  stream_->resume_reading();
  close_timer_.start(options_.close_timeout);
}

void UserHttp1::on_end() {
  end();
}

void UserHttp1::on_failed(const Error& /*error*/) {
  end();
}

void UserHttp1::end() {
  if (ended_) return;
  ended_ = true;
  close_timer_.stop();
  listener_.on_user_session_ended(*this);
}

}  // namespace

std::unique_ptr<UserSession> UserSession::http1(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                Origin& origin, const Options& options,
                                                Listener& listener) {
  return std::make_unique<UserHttp1>(loop, std::move(stream), origin, options, listener);
}

}  // namespace ptth::dev
