#include "agent/admin_connection.h"

#include "agent/admin.h"
#include "common/http1_writer.h"

#include <utility>

namespace ptth {

namespace {

// How long the other side may take to read the last answer and to close.
constexpr Milliseconds kLinger{1'000};
constexpr size_t kBodyBytesMax = 1024;

// The page brings its own script and style and asks nobody but us; nobody may frame it.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors "
    "'none'";

Http1Limits limits_of(const AdminOptions& options) {
  Http1Limits limits;
  limits.head_bytes = options.head_bytes_max;
  limits.fields = options.fields_max;
  return limits;
}

}  // namespace

AdminConnection::AdminConnection(const Surroundings& around, std::unique_ptr<ByteStream> stream,
                                 AdminClient from)
    : loop_(around.loop),
      stream_(std::move(stream)),
      from_(from),
      pages_(around.pages),
      options_(around.options),
      owner_(around.owner),
      parser_(Scheme::kHttp, limits_of(around.options), Side::kLocal),
      timer_(around.loop, [this] { on_timeout(); }) {
  parser_.start();
  transition(State::kIdle);
  stream_->set_listener(this);
}

AdminConnection::~AdminConnection() {
  stream_->set_listener(nullptr);
}

void AdminConnection::on_bytes(Bytes bytes) {
  switch (state_) {
    case State::kIdle:
    case State::kRequest:
      read_requests(bytes);
      break;
    case State::kAnswer:
      break;  // Was under way when we paused.
    case State::kClosing:
    case State::kOver:
      return;
  }
  if (after_answer_ == After::kNextRequest) input_.append(bytes);
}

void AdminConnection::on_end() {
  other_side_ended_ = true;
  if (state_ == State::kAnswer) return;
  if (state_ == State::kClosing && stream_->unsent_bytes() > 0) return;
  end();
}

void AdminConnection::on_failed(const Error& /*error*/) {
  end();
}

void AdminConnection::on_sent() {
  if (stream_->unsent_bytes() > 0) {
    // Slow, but it moves.
    if (state_ == State::kAnswer) transition(State::kAnswer);
    return;
  }
  if (state_ == State::kClosing && other_side_ended_) return end();
  if (state_ != State::kAnswer) return;
  if (after_answer_ == After::kClose) return close();
  transition(State::kIdle);
  Bytes input = input_.front();
  const size_t before = input.size();
  read_requests(input);
  input_.consume(before - input.size());
  if (state_ != State::kIdle && state_ != State::kRequest) return;
  if (other_side_ended_) return close();
  stream_->resume_reading();
}

void AdminConnection::on_timeout() {
  switch (state_) {
    case State::kIdle:
      return close();
    case State::kRequest:
      return refuse(408, "the request took too long");
    case State::kAnswer:
    case State::kClosing:
      return end();
    case State::kOver:
      return;
  }
}

// Up to the end of one request, or of the input.
void AdminConnection::read_requests(Bytes& input) {
  for (;;) {
    switch (parser_.next(input)) {
      case Http1Event::kNeedMore:
        if (parser_.started() && state_ == State::kIdle) transition(State::kRequest);
        return;
      case Http1Event::kHead:
        body_.clear();
        if (parser_.head().body == BodyKind::kNone) break;
        if (parser_.head().body == BodyKind::kLength && parser_.head().content_length == 0) break;
        if (pages_.takes_body(parser_.head())) break;
        return refuse(413, "a body is not taken here");
      case Http1Event::kBody: {
        const Bytes bytes = parser_.body();
        if (body_.size() + bytes.size() > kBodyBytesMax) return refuse(413, "the body is too long");
        body_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        break;
      }
      case Http1Event::kEnd:
        return answer_request();
      case Http1Event::kFailed:
        return refuse(parser_.status(), to_string(parser_.fault()));
      case Http1Event::kInterimHead:  // Answers have those.
        CHECK_INVARIANT(false);
        return;
    }
  }
}

void AdminConnection::answer_request() {
  const After after = parser_.keep_alive_possible() ? After::kNextRequest : After::kClose;
  write_page(pages_.page_for(parser_.head(), from_, body_), after);
  parser_.start();
}

void AdminConnection::refuse(int status, std::string_view text) {
  write_page(pages_.error_page(status, text), After::kClose);
}

void AdminConnection::write_page(const AdminPage& page, After after) {
  ResponseHead head;
  head.status = page.status;
  head.fields.add("content-type", page.content_type);
  head.fields.add("cache-control", "no-store");
  head.fields.add("x-content-type-options", "nosniff");
  head.fields.add("content-security-policy", kContentSecurityPolicy);
  if (page.status == 405) head.fields.add("allow", page.allow);
  head.body = BodyKind::kLength;
  head.content_length = page.body.size();
  Http1ResponseOptions options;
  options.connection =
      after == After::kClose ? Http1Connection::kClose : Http1Connection::kKeepAlive;
  options.head_request = parser_.head().method == "HEAD";
  ByteQueue output;
  CHECK_INVARIANT(write_response_head(head, options, output).ok());
  stream_->write(output.front());
  const std::string_view body = options.head_request ? std::string_view() : page.body;
  stream_->write({reinterpret_cast<const uint8_t*>(body.data()), body.size()});
  // One at a time: a client that sends requests and reads no answers fills no memory.
  stream_->pause_reading();
  after_answer_ = after;
  transition(State::kAnswer);
}

void AdminConnection::transition(State state) {
  CHECK_INVARIANT(state_ != State::kOver);
  state_ = state;
  waiting_since_ms_ = loop_.now_ms();
  switch (state) {
    case State::kIdle:
      return timer_.start(options_.idle_timeout);
    case State::kRequest:
    case State::kAnswer:
      return timer_.start(options_.request_timeout);
    case State::kClosing:
      return timer_.start(kLinger);
    case State::kOver:
      return timer_.stop();
  }
}

// Gently: what was written arrives first.
void AdminConnection::close() {
  stream_->shutdown();
  transition(State::kClosing);
  if (other_side_ended_) return end();
  stream_->resume_reading();
}

void AdminConnection::end() {
  if (state_ == State::kOver) return;
  transition(State::kOver);
  stream_->set_listener(nullptr);
  owner_.on_connection_over(*this);
}

}  // namespace ptth
