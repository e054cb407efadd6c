#include "common/byte_queue.h"
#include "tests/gateway/http2_engine.h"
#include "tests/gateway/user_session.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ptth::dev {

namespace {

class UserHttp2;

// One request on a stream of this connection. Outlives its call, and ignores what the call says
// after the stream has gone.
struct UserStream final : public ResponseListener {
  UserStream(UserHttp2& session_of_it, int32_t stream_id) : session(session_of_it), id(stream_id) {}

  void on_interim_response(const ResponseHead& response) override;
  void on_response_head(const ResponseHead& response) override;
  void on_response_body(Bytes bytes) override;
  void on_response_end(const FieldList& fields) override;
  void on_response_failed(const Error& error) override;
  void on_request_body_taken(size_t count) override;

  UserHttp2& session;
  int32_t id;
  RequestHead head;
  bool head_given = false;
  bool request_ended = false;
  FieldList request_trailers;
  bool gone = false;
  bool answer_ended = false;
  bool paused = false;
  // A head without a body waits for the end of the answer, so that both leave in one frame.
  std::optional<ResponseHead> held_head;
  ByteQueue body;
  FieldList answer_trailers;
  std::unique_ptr<OriginCall> call;
};

class UserHttp2 final : public UserSession {
 public:
  UserHttp2(Loop& loop, std::unique_ptr<ByteStream> stream, Origin& origin, Options options,
            UserSession::Listener& listener);
  ~UserHttp2() override;

  void leave() override;
  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;

  // For UserStream
  void give_interim(UserStream& user, const ResponseHead& response);
  void give_head(UserStream& user, const ResponseHead& response);
  void body_waits(UserStream& user);
  void give_end(UserStream& user);
  void give_failure(UserStream& user);
  void return_credit(UserStream& user, size_t count);

  // nghttp2's callbacks
  int begin_headers(const nghttp2_frame& frame);
  int header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  void frame_received(const nghttp2_frame& frame);
  void frame_sent(const nghttp2_frame& frame);
  int body_received(int32_t stream_id, Bytes bytes);
  void stream_closed(int32_t stream_id, uint32_t code);
  ssize_t read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags);

 private:
  enum class Body { kNone, kFollows };

  UserStream* find(int32_t stream_id);
  void start_request(UserStream& user, const nghttp2_frame& frame);
  void end_request(UserStream& user);
  void answer_locally(UserStream& user, int status);
  void submit(UserStream& user, int status, const FieldList& fields, Body body);
  void flush();
  void end();

  static constexpr size_t kHeaderListBytesMax = size_t{64} * 1024;

  Loop& loop_;
  Options options_;
  Origin& origin_;
  UserSession::Listener& listener_;
  std::unique_ptr<ByteStream> stream_;
  Http2Handle session_;
  bool closing_ = false;
  bool ended_ = false;
  std::unordered_map<int32_t, std::unique_ptr<UserStream>> streams_;
  EndOfTurn flush_;
  Timer close_timer_;
};

void UserStream::on_interim_response(const ResponseHead& response) {
  if (!gone) session.give_interim(*this, response);
}

void UserStream::on_response_head(const ResponseHead& response) {
  if (!gone) session.give_head(*this, response);
}

void UserStream::on_response_body(Bytes bytes) {
  if (gone) return;
  body.append(bytes);
  session.body_waits(*this);
}

void UserStream::on_response_end(const FieldList& fields) {
  if (gone) return;
  answer_ended = true;
  answer_trailers = fields;
  session.give_end(*this);
}

void UserStream::on_response_failed(const Error& /*error*/) {
  if (!gone) session.give_failure(*this);
}

void UserStream::on_request_body_taken(size_t count) {
  if (!gone) session.return_credit(*this, count);
}

UserHttp2::UserHttp2(Loop& loop, std::unique_ptr<ByteStream> stream, Origin& origin,
                     Options options, UserSession::Listener& listener)
    : loop_(loop),
      options_(std::move(options)),
      origin_(origin),
      listener_(listener),
      stream_(std::move(stream)),
      session_(make_http2(nghttp2_session_server_new2, this)),
      flush_(loop, [this] { flush(); }),
      close_timer_(loop, [this] { end(); }) {
  const std::array<nghttp2_settings_entry, 3> settings{
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.streams_max},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.upload_bytes_max},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderListBytesMax}}};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0, 1 << 24);
  stream_->set_listener(this);
  flush_.schedule();
}

UserHttp2::~UserHttp2() {
  stream_->set_listener(nullptr);
}

void UserHttp2::leave() {
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  flush_.schedule();
}

void UserHttp2::on_bytes(Bytes bytes) {
  if (closing_ || ended_) return;
  if (nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size()) < 0) {
    end();
    return;
  }
  flush_.schedule();
}

void UserHttp2::on_end() {
  end();
}

void UserHttp2::on_failed(const Error& /*error*/) {
  end();
}

void UserHttp2::on_sent() {
  flush_.schedule();
}

void UserHttp2::end() {
  if (ended_) return;
  ended_ = true;
  flush_.cancel();
  close_timer_.stop();
  for (const auto& [id, user] : streams_)
    user->gone = true;
  listener_.on_user_session_ended(*this);
}

void UserHttp2::flush() {
  if (closing_ || ended_) return;
  while (stream_->unsent_bytes() < options_.output_bytes_max) {
    const uint8_t* frames = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_.get(), &frames);
    if (count == 0) break;
    if (count < 0) {
      end();
      return;
    }
    stream_->write({frames, static_cast<size_t>(count)});
  }
  if (nghttp2_session_want_read(session_.get()) == 0 &&
      nghttp2_session_want_write(session_.get()) == 0) {
    closing_ = true;
    stream_->shutdown();
    close_timer_.start(options_.close_timeout);
  }
}

UserStream* UserHttp2::find(int32_t stream_id) {
  const auto found = streams_.find(stream_id);
  return found == streams_.end() ? nullptr : found->second.get();
}

int UserHttp2::begin_headers(const nghttp2_frame& frame) {
  if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    streams_.emplace(frame.hd.stream_id, std::make_unique<UserStream>(*this, frame.hd.stream_id));
  }
  return 0;
}

int UserHttp2::header(const nghttp2_frame& frame, std::string_view name, std::string_view value) {
  UserStream* user = find(frame.hd.stream_id);
  if (user == nullptr) return 0;
  if (user->head_given) {
    user->request_trailers.add(name, value);
    return user->request_trailers.list_size() <= kHeaderListBytesMax
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  RequestHead& head = user->head;
  if (name == ":method") {
    head.method = value;
  } else if (name == ":scheme") {
    head.scheme = value;
  } else if (name == ":path") {
    head.path = value;
  } else if (name == ":authority") {
    head.authority = value;
  } else if (name == "host") {
    if (head.authority.empty()) head.authority = value;
  } else {
    head.fields.add(name, value);
  }
  return head.fields.list_size() <= kHeaderListBytesMax ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void UserHttp2::frame_received(const nghttp2_frame& frame) {
  UserStream* user = find(frame.hd.stream_id);
  if (user == nullptr) return;
  const bool end_stream = has_end_stream(frame);
  if (frame.hd.type == NGHTTP2_HEADERS && !user->head_given) {
    start_request(*user, frame);
  } else if ((frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA) && end_stream) {
    end_request(*user);
  }
}

void UserHttp2::start_request(UserStream& user, const nghttp2_frame& frame) {
  RequestHead& head = user.head;
  user.head_given = true;
  user.request_ended = has_end_stream(frame);
  if (head.method == "CONNECT") {
    answer_locally(user, 501);
    return;
  }
  const auto length = head.fields.find("content-length");
  if (!user.request_ended && length) {
    head.body = BodyKind::kLength;
    std::from_chars(length->data(), length->data() + length->size(), head.content_length);
  } else if (!user.request_ended) {
    head.body = BodyKind::kUnknown;
  }
  if (!options_.via.empty()) head.fields.add("via", "2 " + options_.via);
  user.call = origin_.start(head, user, {});
}

void UserHttp2::end_request(UserStream& user) {
  user.request_ended = true;
  if (user.call != nullptr) user.call->end_body(user.request_trailers);
}

void UserHttp2::answer_locally(UserStream& user, int status) {
  user.answer_ended = true;
  submit(user, status, {}, Body::kNone);
}

int UserHttp2::body_received(int32_t stream_id, Bytes bytes) {
  nghttp2_session_consume_connection(session_.get(), bytes.size());
  UserStream* user = find(stream_id);
  if (user != nullptr && user->call != nullptr) user->call->write_body(bytes);
  return 0;
}

void UserHttp2::give_interim(UserStream& user, const ResponseHead& response) {
  const std::string status = std::to_string(response.status);
  std::vector<nghttp2_nv> list{name_value(":status", status)};
  append_fields(response.fields, list);
  nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, user.id, nullptr, list.data(),
                         list.size(), nullptr);
  flush_.schedule();
}

void UserHttp2::give_head(UserStream& user, const ResponseHead& response) {
  if (response.body == BodyKind::kNone) {
    user.held_head = response;
  } else {
    submit(user, response.status, response.fields, Body::kFollows);
  }
}

void UserHttp2::submit(UserStream& user, int status, const FieldList& fields, Body body) {
  const std::string text = std::to_string(status);
  std::vector<nghttp2_nv> list{name_value(":status", text)};
  append_fields(fields, list);
  const nghttp2_data_provider provider = body_of<UserHttp2>();
  nghttp2_submit_response(session_.get(), user.id, list.data(), list.size(),
                          body == Body::kFollows ? &provider : nullptr);
  flush_.schedule();
}

void UserHttp2::body_waits(UserStream& user) {
  if (!user.paused && user.body.size() >= options_.download_bytes_max) {
    user.paused = true;
    user.call->pause_response();
  }
  nghttp2_session_resume_data(session_.get(), user.id);
  flush_.schedule();
}

void UserHttp2::give_end(UserStream& user) {
  loop_.retire(std::move(user.call));
  if (user.held_head) {
    submit(user, user.held_head->status, user.held_head->fields, Body::kNone);
  }
  nghttp2_session_resume_data(session_.get(), user.id);
  flush_.schedule();
}

void UserHttp2::give_failure(UserStream& user) {
  loop_.retire(std::move(user.call));
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, user.id, NGHTTP2_INTERNAL_ERROR);
  flush_.schedule();
}

void UserHttp2::return_credit(UserStream& user, size_t count) {
  nghttp2_session_consume_stream(session_.get(), user.id, count);
  flush_.schedule();
}

ssize_t UserHttp2::read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags) {
  UserStream* user = find(stream_id);
  if (user == nullptr) return NGHTTP2_ERR_DEFERRED;
  const size_t count = std::min(into.size(), user->body.size());
  std::copy_n(user->body.front().begin(), count, into.begin());
  user->body.consume(count);
  if (user->paused && user->call != nullptr &&
      user->body.size() <= options_.download_bytes_max / 2) {
    user->paused = false;
    user->call->resume_response();
  }
  if (user->answer_ended && user->body.empty()) {
    flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!user->answer_trailers.empty()) {
      std::vector<nghttp2_nv> list;
      append_fields(user->answer_trailers, list);
      flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      nghttp2_submit_trailer(session_.get(), stream_id, list.data(), list.size());
    }
    return static_cast<ssize_t>(count);
  }
  return count > 0 ? static_cast<ssize_t>(count) : ssize_t{NGHTTP2_ERR_DEFERRED};
}

void UserHttp2::frame_sent(const nghttp2_frame& frame) {
  if (!has_end_stream(frame) ||
      (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA)) {
    return;
  }
  const UserStream* user = find(frame.hd.stream_id);
  if (user == nullptr || user->request_ended) return;
  // RFC 9113 section 8.1: the answer is whole, the rest of the request is not wanted.
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, frame.hd.stream_id,
                            NGHTTP2_NO_ERROR);
}

void UserHttp2::stream_closed(int32_t stream_id, uint32_t /*code*/) {
  const auto found = streams_.find(stream_id);
  if (found == streams_.end()) return;
  std::unique_ptr<UserStream> user = std::move(found->second);
  streams_.erase(found);
  user->gone = true;
  // In this order: a listener outlives its call.
  loop_.retire(std::move(user->call));
  loop_.retire(std::move(user));
}

}  // namespace

std::unique_ptr<UserSession> UserSession::http2(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                Origin& origin, const Options& options,
                                                Listener& listener) {
  return std::make_unique<UserHttp2>(loop, std::move(stream), origin, options, listener);
}

}  // namespace ptth::dev
