#include "agent/link/nghttp2_client.h"

#include "common/c_handle.h"
#include "common/check.h"

#include <algorithm>
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

struct Nghttp2Client::Callbacks {
  static Nghttp2Client& client(void* user_data) { return *static_cast<Nghttp2Client*>(user_data); }

  static int begin_frame(nghttp2_session* /*session*/, const nghttp2_frame_hd* head,
                         void* user_data) noexcept {
    FrameKind kind = FrameKind::kControl;
    if (head->type == NGHTTP2_DATA && head->length > 0) kind = FrameKind::kProgress;
    const bool is_empty_data = head->type == NGHTTP2_DATA && head->length == 0;
    if (is_empty_data || head->type == NGHTTP2_WINDOW_UPDATE) kind = FrameKind::kEmpty;
    client(user_data).listener_.on_frame(kind);
    return 0;
  }

  // NOLINTNEXTLINE(readability-function-size): the parameters are nghttp2's.
  static int header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t /*flags*/,
                    void* user_data) noexcept {
    Stream* const stream = client(user_data).stream(frame->hd.stream_id);
    if (stream != nullptr) stream->on_field(as_text(name, name_size), as_text(value, value_size));
    return 0;
  }

  static int frame_received(nghttp2_session* /*session*/, const nghttp2_frame* frame,
                            void* user_data) noexcept {
    Nghttp2Client& self = client(user_data);
    const nghttp2_frame_hd& head = frame->hd;
    const bool is_ack = (head.flags & NGHTTP2_FLAG_ACK) != 0;
    if (head.type == NGHTTP2_SETTINGS && !is_ack) self.listener_.on_settings();
    if (head.type == NGHTTP2_PING && is_ack) self.listener_.on_ping_answered();
    if (head.type == NGHTTP2_GOAWAY) self.listener_.on_goaway();
    const bool carries = head.type == NGHTTP2_HEADERS || head.type == NGHTTP2_DATA;
    if (!carries) return 0;
    const bool ends = (head.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (head.type == NGHTTP2_HEADERS) {
      Stream* const stream = self.stream(head.stream_id);
      if (stream != nullptr) stream->on_fields_end(ends ? Ending::kEndOfStream : Ending::kOpen);
    }
    // Looked up again: the head may have made its owner give the stream up.
    Stream* const stream = ends ? self.stream(head.stream_id) : nullptr;
    if (stream != nullptr) stream->on_stream_end();
    return 0;
  }

  // NOLINTNEXTLINE(readability-function-size): the parameters are nghttp2's.
  static int data_chunk(nghttp2_session* session, uint8_t /*flags*/, int32_t stream_id,
                        const uint8_t* bytes, size_t size, void* user_data) noexcept {
    nghttp2_session_consume_connection(session, size);
    Stream* const stream = client(user_data).stream(stream_id);
    if (stream != nullptr) stream->on_data({bytes, size});
    return 0;
  }

  static int stream_closed(nghttp2_session* /*session*/, int32_t stream_id, uint32_t code,
                           void* user_data) noexcept {
    Stream* const stream = client(user_data).stream(stream_id);
    if (stream != nullptr) stream->on_closed(code, nghttp2_http2_strerror(code));
    return 0;
  }

  static int complain(nghttp2_session* /*session*/, int /*code*/, const char* message, size_t size,
                      void* user_data) noexcept {
    client(user_data).complaint_.assign(message, size);
    return 0;
  }

  // NOLINTNEXTLINE(readability-function-size): the parameters are nghttp2's.
  static ssize_t read(nghttp2_session* /*session*/, int32_t stream_id, uint8_t* memory, size_t size,
                      uint32_t* flags, nghttp2_data_source* /*source*/, void* user_data) noexcept {
    Stream* const stream = client(user_data).stream(stream_id);
    if (stream == nullptr) return NGHTTP2_ERR_DEFERRED;
    Ending ending = Ending::kOpen;
    const size_t count = stream->read_outgoing({memory, size}, ending);
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

Nghttp2Client::Nghttp2Client(Listener& listener, const Windows& windows) : listener_(listener) {
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
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows.stream_bytes},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderListBytesMax}}};
  CHECK_INVARIANT(
      nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  const auto connection_window = static_cast<int32_t>(windows.connection_bytes);
  CHECK_INVARIANT(
      nghttp2_session_set_local_window_size(raw, NGHTTP2_FLAG_NONE, 0, connection_window) == 0);
}

Nghttp2Client::~Nghttp2Client() = default;

void Nghttp2Client::receive(Bytes bytes) {
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  if (taken >= 0) return;
  is_broken_ = true;
  complaint_ = nghttp2_strerror(static_cast<int>(taken));
}

bool Nghttp2Client::is_over() const {
  return is_broken_ || (nghttp2_session_want_read(session_.get()) == 0 &&
                        nghttp2_session_want_write(session_.get()) == 0);
}

Bytes Nghttp2Client::next_frame() {
  const uint8_t* data = nullptr;
  const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
  if (size <= 0) return {};
  return {data, static_cast<size_t>(size)};
}

bool Nghttp2Client::takes_extended_connect() const {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

uint32_t Nghttp2Client::streams_max() const {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

int32_t Nghttp2Client::open(const std::vector<FieldView>& fields, Stream& stream) {
  std::vector<nghttp2_nv> list;
  list.reserve(fields.size());
  for (const FieldView& field : fields) {
    list.push_back({mutable_bytes(field.name), mutable_bytes(field.value), field.name.size(),
                    field.value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read;
  const int32_t id =
      nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(), &body, &stream);
  return std::max(id, 0);
}

Nghttp2Client::Stream* Nghttp2Client::stream(int32_t id) const {
  return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_.get(), id));
}

void Nghttp2Client::resume(int32_t id) {
  nghttp2_session_resume_data(session_.get(), id);
}

void Nghttp2Client::return_credit(int32_t id, size_t count) {
  nghttp2_session_consume_stream(session_.get(), id, count);
}

void Nghttp2Client::give_up(int32_t id, GivingUp how) {
  nghttp2_session_set_stream_user_data(session_.get(), id, nullptr);
  const uint32_t code = how == GivingUp::kDone ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL;
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, code);
}

void Nghttp2Client::send_ping() {
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
}

void Nghttp2Client::leave() {
  nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
}

}  // namespace ptth
