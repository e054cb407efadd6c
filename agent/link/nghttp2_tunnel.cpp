#include "agent/link/nghttp2_tunnel.h"

#include "common/c_handle.h"
#include "common/check.h"

#include <array>

#include <nghttp2/nghttp2.h>

namespace ptth {

namespace {

using CallbacksPtr =
    std::unique_ptr<nghttp2_session_callbacks, FreeWith<nghttp2_session_callbacks_del>>;
using OptionPtr = std::unique_ptr<nghttp2_option, FreeWith<nghttp2_option_del>>;

// No gateway needs more for its answer.
constexpr uint32_t kHeaderListBytesMax = 16 * 1024;

std::string_view as_text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// nghttp2 copies both; its interface lacks the const.
uint8_t* mutable_bytes(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
}

}  // namespace

struct Nghttp2Tunnel::Callbacks {
  static Nghttp2Tunnel& tunnel(void* user_data) { return *static_cast<Nghttp2Tunnel*>(user_data); }

  static int begin_frame(nghttp2_session* /*session*/, const nghttp2_frame_hd* head,
                         void* user_data) noexcept {
    FrameKind kind = FrameKind::kControl;
    if (head->type == NGHTTP2_DATA && head->length > 0) kind = FrameKind::kProgress;
    const bool is_empty_data = head->type == NGHTTP2_DATA && head->length == 0;
    if (is_empty_data || head->type == NGHTTP2_WINDOW_UPDATE) kind = FrameKind::kEmpty;
    tunnel(user_data).listener_.on_frame(kind);
    return 0;
  }

  // NOLINTNEXTLINE(readability-function-size): the parameters are nghttp2's.
  static int header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t /*flags*/,
                    void* user_data) noexcept {
    Nghttp2Tunnel& self = tunnel(user_data);
    if (frame->hd.stream_id != self.stream_id_) return 0;
    self.listener_.on_field(as_text(name, name_size), as_text(value, value_size));
    return 0;
  }

  static int frame_received(nghttp2_session* /*session*/, const nghttp2_frame* frame,
                            void* user_data) noexcept {
    Nghttp2Tunnel& self = tunnel(user_data);
    const nghttp2_frame_hd& head = frame->hd;
    if (head.type == NGHTTP2_SETTINGS && (head.flags & NGHTTP2_FLAG_ACK) == 0) {
      self.listener_.on_settings();
    }
    if (head.stream_id != self.stream_id_ || self.stream_id_ == 0) return 0;
    const bool carries = head.type == NGHTTP2_HEADERS || head.type == NGHTTP2_DATA;
    const bool ends = carries && (head.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (head.type == NGHTTP2_HEADERS) {
      self.listener_.on_fields_end(ends ? Ending::kEndOfStream : Ending::kOpen);
    }
    if (ends) self.listener_.on_stream_end();
    return 0;
  }

  // NOLINTNEXTLINE(readability-function-size): the parameters are nghttp2's.
  static int data_chunk(nghttp2_session* /*session*/, uint8_t /*flags*/, int32_t stream_id,
                        const uint8_t* bytes, size_t size, void* user_data) noexcept {
    Nghttp2Tunnel& self = tunnel(user_data);
    if (stream_id == self.stream_id_) self.listener_.on_data({bytes, size});
    return 0;
  }

  static int stream_closed(nghttp2_session* /*session*/, int32_t stream_id, uint32_t code,
                           void* user_data) noexcept {
    Nghttp2Tunnel& self = tunnel(user_data);
    if (stream_id == self.stream_id_) {
      self.listener_.on_closed(code, nghttp2_http2_strerror(code));
    }
    return 0;
  }

  static int complain(nghttp2_session* /*session*/, int /*code*/, const char* message, size_t size,
                      void* user_data) noexcept {
    tunnel(user_data).complaint_.assign(message, size);
    return 0;
  }

  // NOLINTNEXTLINE(readability-function-size): the parameters are nghttp2's.
  static ssize_t read(nghttp2_session* /*session*/, int32_t /*stream_id*/, uint8_t* memory,
                      size_t size, uint32_t* flags, nghttp2_data_source* /*source*/,
                      void* user_data) noexcept {
    Ending ending = Ending::kOpen;
    const size_t count = tunnel(user_data).listener_.read_outgoing({memory, size}, ending);
    if (ending == Ending::kEndOfStream) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (count == 0 && ending == Ending::kOpen) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(count);
  }

  static CallbacksPtr table() {
    nghttp2_session_callbacks* raw = nullptr;
    CHECK_INVARIANT(nghttp2_session_callbacks_new(&raw) == 0);
    CallbacksPtr callbacks(raw);
    nghttp2_session_callbacks_set_on_begin_frame_callback(raw, begin_frame);
    nghttp2_session_callbacks_set_on_header_callback(raw, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(raw, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(raw, stream_closed);
    nghttp2_session_callbacks_set_error_callback2(raw, complain);
    return callbacks;
  }
};

Nghttp2Tunnel::Nghttp2Tunnel(Listener& listener, uint32_t window_bytes) : listener_(listener) {
  nghttp2_option* raw_option = nullptr;
  CHECK_INVARIANT(nghttp2_option_new(&raw_option) == 0);
  const OptionPtr option(raw_option);
  nghttp2_option_set_no_auto_window_update(raw_option, 1);
  nghttp2_session* raw = nullptr;
  const CallbacksPtr callbacks = Callbacks::table();
  CHECK_INVARIANT(nghttp2_session_client_new2(&raw, callbacks.get(), this, raw_option) == 0);
  session_.reset(raw);
  const std::array<nghttp2_settings_entry, 3> settings{
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window_bytes},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderListBytesMax}}};
  CHECK_INVARIANT(
      nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  CHECK_INVARIANT(nghttp2_session_set_local_window_size(raw, NGHTTP2_FLAG_NONE, 0,
                                                        static_cast<int32_t>(window_bytes)) == 0);
}

Nghttp2Tunnel::~Nghttp2Tunnel() = default;

void Nghttp2Tunnel::receive(Bytes bytes) {
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  if (taken >= 0) return;
  is_broken_ = true;
  complaint_ = nghttp2_strerror(static_cast<int>(taken));
}

bool Nghttp2Tunnel::is_over() const {
  return is_broken_ || (nghttp2_session_want_read(session_.get()) == 0 &&
                        nghttp2_session_want_write(session_.get()) == 0);
}

Bytes Nghttp2Tunnel::next_frame() {
  const uint8_t* data = nullptr;
  const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
  if (size <= 0) return {};
  return {data, static_cast<size_t>(size)};
}

bool Nghttp2Tunnel::takes_extended_connect() const {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool Nghttp2Tunnel::open(const std::vector<FieldView>& fields) {
  std::vector<nghttp2_nv> list;
  list.reserve(fields.size());
  for (const FieldView& field : fields) {
    list.push_back({mutable_bytes(field.name), mutable_bytes(field.value), field.name.size(),
                    field.value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read;
  const int32_t id =
      nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(), &body, nullptr);
  if (id <= 0) return false;
  stream_id_ = id;
  return true;
}

void Nghttp2Tunnel::resume() {
  if (stream_id_ != 0) nghttp2_session_resume_data(session_.get(), stream_id_);
}

void Nghttp2Tunnel::return_credit(size_t count) {
  nghttp2_session_consume(session_.get(), stream_id_, count);
}

void Nghttp2Tunnel::leave() {
  nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
}

}  // namespace ptth
