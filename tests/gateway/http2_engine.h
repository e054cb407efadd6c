#pragma once

// What the two nghttp2 sessions of the gateway (towards workers and towards users) have in common:
// conversions, and callbacks that only cast and call a method of Self.

#include "common/byte_stream.h"
#include "common/c_handle.h"
#include "common/check.h"
#include "common/error.h"
#include "common/http_message.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace ptth::dev {

using Http2Handle = std::unique_ptr<nghttp2_session, FreeWith<nghttp2_session_del>>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// nghttp2 copies both; its interface lacks the const.
inline nghttp2_nv name_value(std::string_view name, std::string_view value) {
  return {const_cast<uint8_t*>(as_bytes(name).data()), const_cast<uint8_t*>(as_bytes(value).data()),
          name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

inline void append_fields(const FieldList& fields, std::vector<nghttp2_nv>& list) {
  for (const Field field : fields)
    list.push_back(name_value(field.name, field.value));
}

inline bool has_end_stream(const nghttp2_frame& frame) {
  return (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

// A worker's RST_STREAM. nghttp2 also says REFUSED_STREAM for streams above the last id of a
// GOAWAY.
inline Error error_of_reset(uint32_t code) {
  Error error{ErrorKind::kClosed, Side::kOrigin,
              "the worker reset the stream: " + std::string(nghttp2_http2_strerror(code))};
  if (code == NGHTTP2_REFUSED_STREAM) {
    error.kind = ErrorKind::kOverload;
    error.detail = "the worker refused the stream, or leaves without having seen it";
    error.retryable = true;
  } else if (code == NGHTTP2_PROTOCOL_ERROR) {
    error.kind = ErrorKind::kProtocol;
  }
  return error;
}

// Self has: int begin_headers(frame), int header(frame, name, value), void frame_received(frame),
// void frame_sent(frame), int body_received(stream_id, bytes), void stream_closed(stream_id, code).
template <class Self>
nghttp2_session_callbacks* http2_callbacks() {
  using Callbacks =
      std::unique_ptr<nghttp2_session_callbacks, FreeWith<nghttp2_session_callbacks_del>>;
  static const Callbacks kept = [] {
    nghttp2_session_callbacks* made = nullptr;
    CHECK_INVARIANT(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept {
          return static_cast<Self*>(self)->begin_headers(*frame);
        });
    nghttp2_session_callbacks_set_on_header_callback(
        made,
        [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
           const uint8_t* value, size_t value_size, uint8_t, void* self) noexcept {
          return static_cast<Self*>(self)->header(*frame, as_text({name, name_size}),
                                                  as_text({value, value_size}));
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept {
          static_cast<Self*>(self)->frame_received(*frame);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_send_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept {
          static_cast<Self*>(self)->frame_sent(*frame);
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        made, [](nghttp2_session*, uint8_t, int32_t stream_id, const uint8_t* bytes, size_t size,
                 void* self) noexcept {
          return static_cast<Self*>(self)->body_received(stream_id, {bytes, size});
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        made, [](nghttp2_session*, int32_t stream_id, uint32_t code, void* self) noexcept {
          static_cast<Self*>(self)->stream_closed(stream_id, code);
          return 0;
        });
    return Callbacks(made);
  }();
  return kept.get();
}

// Self has: ssize_t read_body(stream_id, into, flags).
template <class Self>
nghttp2_data_provider body_of() {
  nghttp2_data_provider provider{};
  provider.read_callback = [](nghttp2_session*, int32_t stream_id, uint8_t* into, size_t size,
                              uint32_t* flags, nghttp2_data_source*, void* self) noexcept {
    return static_cast<Self*>(self)->read_body(stream_id, {into, size}, *flags);
  };
  return provider;
}

// Credit goes back only when we say so: when the other side took the bytes.
template <class Make, class Self>
Http2Handle make_http2(Make make, Self* self) {
  nghttp2_option* option = nullptr;
  CHECK_INVARIANT(nghttp2_option_new(&option) == 0);
  const std::unique_ptr<nghttp2_option, FreeWith<nghttp2_option_del>> kept(option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_ORIGIN);
  nghttp2_session* session = nullptr;
  CHECK_INVARIANT(make(&session, http2_callbacks<Self>(), self, option) == 0);
  return Http2Handle(session);
}

}  // namespace ptth::dev
