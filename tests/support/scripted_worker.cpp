#include "tests/support/scripted_worker.h"

#include "agent/link/client_magic.h"
#include "tests/gateway/http2_engine.h"

#include <algorithm>
#include <array>

namespace ptth::test {

namespace {

using dev::name_value;

nghttp2_session* make_session(ScriptedWorker* self, dev::WorkerProfile profile) {
  nghttp2_option* option = nullptr;
  CHECK_INVARIANT(nghttp2_option_new(&option) == 0);
  const std::unique_ptr<nghttp2_option, FreeWith<nghttp2_option_del>> kept(option);
  if (profile == dev::WorkerProfile::kHaproxy) nghttp2_option_set_no_recv_client_magic(option, 1);
  nghttp2_session* session = nullptr;
  CHECK_INVARIANT(nghttp2_session_server_new2(&session, dev::http2_callbacks<ScriptedWorker>(),
                                              self, option) == 0);
  return session;
}

std::vector<nghttp2_nv> list_of(const std::string& status, const FieldVector& fields) {
  std::vector<nghttp2_nv> list;
  if (!status.empty()) list.push_back(name_value(":status", status));
  for (const auto& [name, value] : fields)
    list.push_back(name_value(name, value));
  return list;
}

}  // namespace

ScriptedWorker::ScriptedWorker(Loop& loop, std::unique_ptr<ByteStream> stream,
                               dev::WorkerProfile profile, uint32_t streams_max, Hello hello)
    : stream_(std::move(stream)),
      session_(make_session(this, profile)),
      silent_(hello == Hello::kNone),
      flush_(loop, [this] { flush(); }) {
  stream_->set_listener(this);
  if (silent_) return;
  if (profile == dev::WorkerProfile::kHaproxy) stream_->write(kClientMagic);
  set_streams_max(streams_max);
}

ScriptedWorker::~ScriptedWorker() {
  stream_->set_listener(nullptr);
}

void ScriptedWorker::set_streams_max(uint32_t streams_max) {
  const nghttp2_settings_entry setting{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, &setting, 1);
  flush_.schedule();
}

void ScriptedWorker::answer(int32_t id, int status, std::string_view text,
                            const FieldVector& fields) {
  head(id, status, fields);
  body(id, text);
  end(id);
}

void ScriptedWorker::interim(int32_t id, int status, const FieldVector& fields) {
  const std::string text = std::to_string(status);
  const auto list = list_of(text, fields);
  nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, id, nullptr, list.data(), list.size(),
                         nullptr);
  flush_.schedule();
}

void ScriptedWorker::head(int32_t id, int status, const FieldVector& fields) {
  const std::string text = std::to_string(status);
  const auto list = list_of(text, fields);
  const nghttp2_data_provider provider = dev::body_of<ScriptedWorker>();
  nghttp2_submit_response(session_.get(), id, list.data(), list.size(), &provider);
  flush_.schedule();
}

void ScriptedWorker::body(int32_t id, std::string_view bytes) {
  outgoing_[id].bytes.append(dev::as_bytes(bytes));
  nghttp2_session_resume_data(session_.get(), id);
  flush_.schedule();
}

void ScriptedWorker::end(int32_t id, const FieldVector& trailers) {
  outgoing_[id].ended = true;
  outgoing_[id].trailers = trailers;
  nghttp2_session_resume_data(session_.get(), id);
  flush_.schedule();
}

void ScriptedWorker::reset(int32_t id, uint32_t code) {
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, code);
  flush_.schedule();
}

void ScriptedWorker::go_away(int32_t last_id) {
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, last_id, NGHTTP2_NO_ERROR, nullptr, 0);
  flush_.schedule();
}

void ScriptedWorker::close() {
  flush();
  stream_->shutdown();
}

void ScriptedWorker::write_raw(std::string_view bytes) {
  stream_->write(dev::as_bytes(bytes));
}

int32_t ScriptedWorker::stream_credit(int32_t id) const {
  return nghttp2_session_get_stream_remote_window_size(session_.get(), id);
}

int32_t ScriptedWorker::link_credit() const {
  return nghttp2_session_get_remote_window_size(session_.get());
}

void ScriptedWorker::on_bytes(Bytes bytes) {
  bytes_received_ += bytes.size();
  if (silent_) return;
  nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  flush_.schedule();
}

void ScriptedWorker::on_end() {
  connection_ended_ = true;
}

void ScriptedWorker::on_failed(const Error& /*error*/) {
  connection_ended_ = true;
}

void ScriptedWorker::on_sent() {
  flush_.schedule();
}

void ScriptedWorker::flush() {
  const uint8_t* frames = nullptr;
  while (true) {
    const ssize_t count = nghttp2_session_mem_send(session_.get(), &frames);
    if (count <= 0) break;
    stream_->write({frames, static_cast<size_t>(count)});
  }
}

ScriptedWorker::Request* ScriptedWorker::find(int32_t id) {
  const auto found = begun_.find(id);
  return found == begun_.end() ? nullptr : found->second.get();
}

int ScriptedWorker::begin_headers(const nghttp2_frame& frame) {
  auto& request = begun_[frame.hd.stream_id];
  if (request == nullptr) request = std::make_unique<Request>();
  request->id = frame.hd.stream_id;
  return 0;
}

int ScriptedWorker::header(const nghttp2_frame& frame, std::string_view name,
                           std::string_view value) {
  Request* request = find(frame.hd.stream_id);
  auto& fields = request->head_read ? request->trailers : request->fields;
  fields[std::string(name)] = value;
  return 0;
}

void ScriptedWorker::frame_received(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY) told_to_leave_ = true;
  if (frame.hd.type == NGHTTP2_PING) ++pings_;
  Request* request = find(frame.hd.stream_id);
  if (request == nullptr) return;
  if (frame.hd.type == NGHTTP2_HEADERS && !request->head_read) {
    request->head_read = true;
    requests_.push_back(request);
  }
  if (frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA) {
    request->ended = request->ended || dev::has_end_stream(frame);
  }
}

void ScriptedWorker::frame_sent(const nghttp2_frame& /*frame*/) {}

int ScriptedWorker::body_received(int32_t stream_id, Bytes bytes) {
  if (Request* request = find(stream_id)) request->body.append(dev::as_text(bytes));
  return 0;
}

void ScriptedWorker::stream_closed(int32_t stream_id, uint32_t code) {
  if (Request* request = find(stream_id)) request->closed = code;
}

ssize_t ScriptedWorker::read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags) {
  Outgoing& outgoing = outgoing_[stream_id];
  const size_t count = std::min(into.size(), outgoing.bytes.size());
  std::copy_n(outgoing.bytes.front().begin(), count, into.begin());
  outgoing.bytes.consume(count);
  if (outgoing.bytes.empty() && outgoing.ended) {
    flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!outgoing.trailers.empty()) {
      const auto list = list_of({}, outgoing.trailers);
      flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      nghttp2_submit_trailer(session_.get(), stream_id, list.data(), list.size());
    }
    return static_cast<ssize_t>(count);
  }
  return count > 0 ? static_cast<ssize_t>(count) : ssize_t{NGHTTP2_ERR_DEFERRED};
}

}  // namespace ptth::test
