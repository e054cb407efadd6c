#include "common/check.h"
#include "tests/gateway/worker_http2.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ptth::dev {

std::unique_ptr<OriginCall> Http2WorkerSession::call(const RequestHead& head,
                                                     const RequestFaults& faults,
                                                     ResponseListener& listener) {
  CHECK_INVARIANT(attached());
  auto made = std::make_unique<WorkerCall>(
      loop_, *this, listener, faults,
      head.method == "HEAD" ? WorkerCall::RequestMethod::kHead : WorkerCall::RequestMethod::kOther);
  const std::string length = std::to_string(head.content_length);
  std::vector<nghttp2_nv> list{name_value(":method", head.method),
                               name_value(":scheme", head.scheme)};
  if (!head.authority.empty()) list.push_back(name_value(":authority", head.authority));
  list.push_back(name_value(":path", head.path));
  for (const Field field : head.fields) {
    if (field.name == "content-length" || field.name == "host") continue;
    list.push_back(name_value(field.name, field.value));
  }
  if (head.body == BodyKind::kLength) list.push_back(name_value("content-length", length));
  const nghttp2_data_provider body = body_of<Http2WorkerSession>();
  const int32_t id =
      nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(),
                             head.body == BodyKind::kNone ? nullptr : &body, nullptr);
  if (id < 0) {
    // The last stream id has been used: RFC 9113 section 5.1.1 wants a new connection.
    leave();
    made->detach();
    made->fail_later({ErrorKind::kOverload, Side::kOrigin, "the worker takes no more requests",
                      /*retryable=*/true});
    return made;
  }
  made->stream_id = id;
  calls_.emplace(id, made.get());
  flush_.schedule();
  return made;
}

void Http2WorkerSession::on_upload_ready(WorkerCall& call) {
  nghttp2_session_resume_data(session_.get(), call.stream_id);
  flush_.schedule();
}

void Http2WorkerSession::on_body_delivered(WorkerCall& call, size_t count) {
  const auto stalled_after = call.faults().stall_window;
  if (stalled_after && call.body_delivered() >= *stalled_after) return;
  nghttp2_session_consume_stream(session_.get(), call.stream_id, count);
  flush_.schedule();
}

void Http2WorkerSession::on_call_gone(WorkerCall& call) {
  const auto found = calls_.find(call.stream_id);
  if (found == calls_.end()) return;
  found->second = nullptr;
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call.stream_id,
                            call.answer_complete() ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
  flush_.schedule();
}

void Http2WorkerSession::reset_by_fault(WorkerCall& call) {
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call.stream_id, NGHTTP2_CANCEL);
  calls_[call.stream_id] = nullptr;
  call.detach();
  call.fail({ErrorKind::kCancelled, Side::kLocal, "reset by fault"});
}

int Http2WorkerSession::begin_headers(const nghttp2_frame& frame) {
  if (WorkerCall* call = find(frame.hd.stream_id)) call->begin_fields();
  return 0;
}

int Http2WorkerSession::header(const nghttp2_frame& frame, std::string_view name,
                               std::string_view value) {
  WorkerCall* call = find(frame.hd.stream_id);
  if (call == nullptr || call->add_field(name, value)) return 0;
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void Http2WorkerSession::frame_received(const nghttp2_frame& frame) {
  const bool end_stream = has_end_stream(frame);
  switch (frame.hd.type) {
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        settings_acknowledged_ = true;
      } else {
        settings_seen_ = true;
        if (state_ == State::kAttached) listener_.on_worker_limit(*this);
      }
      check_attached();
      break;
    case NGHTTP2_ORIGIN:
      take_origins(*static_cast<const nghttp2_ext_origin*>(frame.ext.payload));
      break;
    case NGHTTP2_HEADERS:
      if (WorkerCall* call = find(frame.hd.stream_id)) {
        call->end_fields(end_stream ? WorkerCall::StreamEnd::kYes : WorkerCall::StreamEnd::kNo);
      }
      break;
    case NGHTTP2_DATA:
      if (WorkerCall* call = find(frame.hd.stream_id); call != nullptr && end_stream) {
        call->receive_end();
      }
      break;
    case NGHTTP2_GOAWAY:
      if (!leaving_) {
        leaving_ = true;
        listener_.on_worker_leaving(*this);
      }
      break;
    default:
      break;
  }
}

void Http2WorkerSession::frame_sent(const nghttp2_frame& frame) {
  WorkerCall* call = frame.hd.type == NGHTTP2_HEADERS ? find(frame.hd.stream_id) : nullptr;
  if (call == nullptr) return;
  call->sent = true;
  if (call->faults().reset_after == uint64_t{0}) reset_by_fault(*call);
}

int Http2WorkerSession::body_received(int32_t stream_id, Bytes bytes) {
  nghttp2_session_consume_connection(session_.get(), bytes.size());
  WorkerCall* call = find(stream_id);
  if (call == nullptr) return 0;
  const auto reset_after = call->faults().reset_after;
  const bool reset_now = reset_after && call->body_received() + bytes.size() >= *reset_after;
  if (reset_now) bytes = bytes.first(static_cast<size_t>(*reset_after - call->body_received()));
  call->receive_body(bytes);
  // The listener may have retired the call, never destroyed it, so it can be named again.
  if (reset_now) reset_by_fault(*call);
  return 0;
}

void Http2WorkerSession::stream_closed(int32_t stream_id, uint32_t code) {
  const auto found = calls_.find(stream_id);
  if (found == calls_.end()) return;
  WorkerCall* call = found->second;
  calls_.erase(found);
  if (call != nullptr) {
    call->tell_upload_taken();
    call->detach();
    call->fail(error_of_reset(code));
  }
  if (state_ == State::kAttached) listener_.on_worker_room(*this);
}

ssize_t Http2WorkerSession::read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags) {
  WorkerCall* call = find(stream_id);
  if (call == nullptr) return NGHTTP2_ERR_DEFERRED;
  const size_t count = call->take_upload(into);
  if (count > 0) uploads_taken_.push_back(stream_id);
  if (!call->upload_empty() || (count == 0 && !call->upload_ended())) {
    return count > 0 ? static_cast<ssize_t>(count) : ssize_t{NGHTTP2_ERR_DEFERRED};
  }
  if (!call->upload_ended()) return static_cast<ssize_t>(count);
  flags |= NGHTTP2_DATA_FLAG_EOF;
  if (!call->upload_trailers().empty()) {
    std::vector<nghttp2_nv> list;
    append_fields(call->upload_trailers(), list);
    flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session_.get(), stream_id, list.data(), list.size());
  }
  return static_cast<ssize_t>(count);
}

}  // namespace ptth::dev
