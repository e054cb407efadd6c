#include "agent/relay/nghttp2_server.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <nghttp2/nghttp2.h>

namespace ptth {

namespace {

constexpr size_t kFrameHeadSize = 9;
// A DATA frame with its head fills one TLS record, and so is encrypted from where it lies.
constexpr size_t kDataBytesMax = size_t{16} * 1024 - kFrameHeadSize;
constexpr size_t kSettingSize = 6;
// What every peer takes (RFC 9113 section 4.2).
constexpr size_t kFramePayloadMax = size_t{16} * 1024;
// Before each origin of an ORIGIN frame (RFC 8336 section 2.1).
constexpr size_t kOriginLengthSize = 2;
// nghttp2 ends the connection when a gateway opens more streams than allowed; RFC 9113
// section 5.1.2 lets us refuse the stream instead, which is a safe retry. So nghttp2 is told this,
// and the true limit is written into the frame.
constexpr uint32_t kNoLimitForNghttp2 = 0x7fffffff;

constexpr uint8_t kPriorityUpdate = 0x10;   // RFC 9218 section 7.1.
constexpr size_t kPriorityUpdateMax = 256;  // What is longer says nothing to us.
constexpr size_t kStreamIdSize = 4;

struct CallbacksDeleter {
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
};

struct OptionDeleter {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

nghttp2_nv make_nv(std::string_view name, std::string_view value) {
  // nghttp2 takes mutable pointers and does not write through them.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

std::string_view as_text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// Most answers have few fields: no allocation for them.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): what is not used need not be cleared.
class NvList {
 public:
  void add(std::string_view name, std::string_view value) {
    if (count_ < few_.size()) {
      few_[count_++] = make_nv(name, value);
      return;
    }
    if (many_.empty()) many_.assign(few_.begin(), few_.end());
    many_.push_back(make_nv(name, value));
    ++count_;
  }

  void add_all(const FieldList& fields) {
    for (const Field field : fields)
      add(field.name, field.value);
  }

  [[nodiscard]] const nghttp2_nv* data() const {
    return many_.empty() ? few_.data() : many_.data();
  }

  [[nodiscard]] size_t size() const { return count_; }

 private:
  std::array<nghttp2_nv, 24> few_;
  std::vector<nghttp2_nv> many_;
  size_t count_ = 0;
};

Nghttp2Server::FrameKind kind_of(uint8_t type) {
  switch (type) {
    case NGHTTP2_DATA:
      return Nghttp2Server::FrameKind::kData;
    case NGHTTP2_HEADERS:
      return Nghttp2Server::FrameKind::kHeaders;
    case NGHTTP2_WINDOW_UPDATE:
      return Nghttp2Server::FrameKind::kWindowUpdate;
    case NGHTTP2_RST_STREAM:
      return Nghttp2Server::FrameKind::kReset;
    default:
      return Nghttp2Server::FrameKind::kControl;
  }
}

}  // namespace

// Thin on purpose: cast, look up, call.
// NOLINTBEGIN(readability-function-size): the parameters are nghttp2's.
struct Nghttp2Server::Callbacks {
  static Nghttp2Server& server(void* user_data) { return *static_cast<Nghttp2Server*>(user_data); }

  static int begin_frame(nghttp2_session* /*session*/, const nghttp2_frame_hd* head,
                         void* user_data) noexcept {
    server(user_data).priority_update_.clear();
    // FrameScanner counts what RFC 9113 does not define.
    if (head->type == kPriorityUpdate) return 0;
    server(user_data).link_.on_frame_begin({kind_of(head->type), head->length, head->stream_id,
                                            (head->flags & NGHTTP2_FLAG_END_STREAM) != 0});
    return 0;
  }

  static int begin_headers(nghttp2_session* /*session*/, const nghttp2_frame* frame,
                           void* user_data) noexcept {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      server(user_data).streams_.on_request_begin(frame->hd.stream_id);
    }
    return 0;
  }

  static int header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t /*flags*/,
                    void* user_data) noexcept {
    server(user_data).streams_.on_field(frame->hd.stream_id, as_text(name, name_size),
                                        as_text(value, value_size));
    return 0;
  }

  static int frame_received(nghttp2_session* /*session*/, const nghttp2_frame* frame,
                            void* user_data) noexcept {
    Nghttp2Server& self = server(user_data);
    const bool ends_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        self.streams_.on_fields_end(frame->hd.stream_id,
                                    ends_stream ? Ending::kEndOfRequest : Ending::kBodyFollows);
        break;
      case NGHTTP2_DATA:
        if (ends_stream) self.streams_.on_request_end(frame->hd.stream_id);
        break;
      case NGHTTP2_SETTINGS:
        if (is_ack) {
          self.link_.on_settings_ack();
        } else {
          self.link_.on_settings();
        }
        break;
      case NGHTTP2_PING:
        if (is_ack) self.link_.on_ping_ack();
        break;
      case NGHTTP2_GOAWAY:
        self.link_.on_goaway();
        break;
      case NGHTTP2_RST_STREAM:
        self.link_.on_reset_received();
        break;
      default:
        break;
    }
    return 0;
  }

  static int data_chunk(nghttp2_session* /*session*/, uint8_t /*flags*/, int32_t stream_id,
                        const uint8_t* bytes, size_t size, void* user_data) noexcept {
    server(user_data).streams_.on_data(stream_id, {bytes, size});
    return 0;
  }

  static int extension_chunk(nghttp2_session* /*session*/, const nghttp2_frame_hd* /*head*/,
                             const uint8_t* bytes, size_t size, void* user_data) noexcept {
    std::string& payload = server(user_data).priority_update_;
    payload.append(as_text(bytes, std::min(size, kPriorityUpdateMax + 1 - payload.size())));
    return 0;
  }

  // There is nothing to keep of it.
  static int extension_end(nghttp2_session* /*session*/, void** /*payload*/,
                           const nghttp2_frame_hd* head, void* user_data) noexcept {
    server(user_data).take_priority_update(head->stream_id);
    return NGHTTP2_ERR_CANCEL;
  }

  static int invalid_frame(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/, int code,
                           void* user_data) noexcept {
    server(user_data).complaint_ = nghttp2_strerror(code);
    server(user_data).link_.on_invalid_frame();
    return 0;
  }

  static int complain(nghttp2_session* /*session*/, int /*code*/, const char* message, size_t size,
                      void* user_data) noexcept {
    server(user_data).complaint_.assign(message, std::min<size_t>(size, 256));
    return 0;
  }

  static int frame_sent(nghttp2_session* /*session*/, const nghttp2_frame* frame,
                        void* user_data) noexcept {
    StreamListener& streams = server(user_data).streams_;
    const bool carries_response =
        frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (carries_response && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      streams.on_response_sent(frame->hd.stream_id);
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
      streams.on_stream_reset_sent(frame->hd.stream_id);
    }
    return 0;
  }

  // A head that nghttp2 will not write (too large for its limits): the stream must not hang.
  static int frame_not_sent(nghttp2_session* session, const nghttp2_frame* frame, int /*code*/,
                            void* /*user_data*/) noexcept {
    if (frame->hd.type == NGHTTP2_HEADERS) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
  }

  static int stream_closed(nghttp2_session* /*session*/, int32_t stream_id, uint32_t code,
                           void* user_data) noexcept {
    server(user_data).streams_.on_stream_closed(stream_id, code);
    return 0;
  }

  static ssize_t read_data(nghttp2_session* session, int32_t stream_id, uint8_t* /*buffer*/,
                           size_t length, uint32_t* flags, nghttp2_data_source* /*source*/,
                           void* user_data) noexcept {
    ResponseEnd end;
    const size_t available = server(user_data).streams_.response_available(stream_id, end);
    if (available == 0 && !end.is_complete) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    const size_t count = std::min({available, length, kDataBytesMax});
    if (end.is_complete && available == count) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (end.trailers != nullptr && !end.trailers->empty()) {
        NvList trailers;
        trailers.add_all(*end.trailers);
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream_id, trailers.data(), trailers.size());
      }
    }
    return static_cast<ssize_t>(count);
  }

  static int send_data(nghttp2_session* /*session*/, nghttp2_frame* frame, const uint8_t* head,
                       size_t length, nghttp2_data_source* /*source*/, void* user_data) noexcept {
    const Written written =
        server(user_data).streams_.write_data(frame->hd.stream_id, {head, kFrameHeadSize}, length);
    return written == Written::kYes ? 0 : NGHTTP2_ERR_WOULDBLOCK;
  }

  static std::unique_ptr<nghttp2_session_callbacks, CallbacksDeleter> table();
};

// NOLINTEND(readability-function-size)

std::unique_ptr<nghttp2_session_callbacks, CallbacksDeleter> Nghttp2Server::Callbacks::table() {
  nghttp2_session_callbacks* raw = nullptr;
  CHECK_INVARIANT(nghttp2_session_callbacks_new(&raw) == 0);
  std::unique_ptr<nghttp2_session_callbacks, CallbacksDeleter> callbacks(raw);
  nghttp2_session_callbacks_set_on_begin_frame_callback(raw, begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(raw, begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(raw, header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(raw, frame_received);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, data_chunk);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(raw, invalid_frame);
  nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(raw, extension_chunk);
  nghttp2_session_callbacks_set_unpack_extension_callback(raw, extension_end);
  nghttp2_session_callbacks_set_error_callback2(raw, complain);
  nghttp2_session_callbacks_set_on_frame_send_callback(raw, frame_sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(raw, frame_not_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(raw, stream_closed);
  nghttp2_session_callbacks_set_send_data_callback(raw, send_data);
  return callbacks;
}

void DeleteNghttp2Session::operator()(nghttp2_session* session) const noexcept {
  nghttp2_session_del(session);
}

Nghttp2Server::Nghttp2Server(LinkListener& link, StreamListener& streams, const Options& options)
    : link_(link),
      streams_(streams),
      max_concurrent_streams_(options.max_concurrent_streams),
      response_via_(options.response_via) {
  nghttp2_option* raw_option = nullptr;
  CHECK_INVARIANT(nghttp2_option_new(&raw_option) == 0);
  const std::unique_ptr<nghttp2_option, OptionDeleter> option(raw_option);
  nghttp2_option_set_no_recv_client_magic(raw_option, 1);
  nghttp2_option_set_no_auto_window_update(raw_option, 1);
  nghttp2_option_set_no_closed_streams(raw_option, 1);
  // RequestReader and the session keep the rules of HTTP messages (see there).
  nghttp2_option_set_no_http_messaging(raw_option, 1);
  // nghttp2's own reading of these frames opens streams that nobody bounds.
  nghttp2_option_set_user_recv_extension_type(raw_option, kPriorityUpdate);
  // Our response heads are bounded by the origin's limits, which are larger than nghttp2's default.
  nghttp2_option_set_max_send_header_block_length(raw_option, size_t{256} * 1024);

  nghttp2_session* raw = nullptr;
  const auto callbacks = Callbacks::table();
  CHECK_INVARIANT(nghttp2_session_server_new2(&raw, callbacks.get(), this, raw_option) == 0);
  session_.reset(raw);

  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.header_list_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  if (options.announce_streams_at_start) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kNoLimitForNghttp2});
  }
  CHECK_INVARIANT(
      nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  submit_origins(options.origins);
  CHECK_INVARIANT(nghttp2_session_set_local_window_size(
                      raw, NGHTTP2_FLAG_NONE, 0, static_cast<int32_t>(options.link_window_bytes)) ==
                  0);
}

Nghttp2Server::~Nghttp2Server() = default;

// As many frames as it takes: the second and those behind it add to the first (RFC 8336 section
// 2.2).
void Nghttp2Server::submit_origins(const std::vector<std::string>& origins) {
  std::vector<nghttp2_origin_entry> entries;
  size_t payload_size = 0;
  const auto submit = [&] {
    if (entries.empty()) return;
    CHECK_INVARIANT(nghttp2_submit_origin(session_.get(), NGHTTP2_FLAG_NONE, entries.data(),
                                          entries.size()) == 0);
    entries.clear();
    payload_size = 0;
  };
  for (const std::string& origin : origins) {
    if (payload_size + kOriginLengthSize + origin.size() > kFramePayloadMax) submit();
    // nghttp2 copies it; its interface lacks the const.
    auto* const text = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(origin.data()));
    entries.push_back({text, origin.size()});
    payload_size += kOriginLengthSize + origin.size();
  }
  submit();
}

Result<void> Nghttp2Server::receive(Bytes bytes) {
  const ssize_t consumed = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  if (consumed >= 0) return {};
  const char* reason = nghttp2_strerror(static_cast<int>(consumed));
  nghttp2_session_terminate_session(session_.get(), NGHTTP2_PROTOCOL_ERROR);
  return Error{ErrorKind::kProtocol, Side::kGateway, std::string("HTTP/2: ") + reason};
}

void Nghttp2Server::take_priority_update(int32_t stream_id) {
  const std::string payload = std::exchange(priority_update_, {});
  uint32_t prioritized = 0;
  for (const char byte : payload.substr(0, kStreamIdSize))
    prioritized = prioritized << 8 | static_cast<uint8_t>(byte);
  prioritized &= 0x7fffffff;
  // Streams of ours are even, and there are none.
  const bool is_request = prioritized % 2 == 1;
  if (stream_id != 0 || payload.size() < kStreamIdSize || !is_request) {
    complaint_ = "a PRIORITY_UPDATE frame that breaks the rules";
    terminate(stream_id == 0 && payload.size() < kStreamIdSize ? NGHTTP2_FRAME_SIZE_ERROR
                                                               : NGHTTP2_PROTOCOL_ERROR);
    return;
  }
  if (payload.size() > kPriorityUpdateMax) return;
  streams_.on_priority_update(static_cast<int32_t>(prioritized),
                              std::string_view(payload).substr(kStreamIdSize));
}

Bytes Nghttp2Server::next_frame() {
  const uint8_t* data = nullptr;
  const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
  if (size <= 0) return {};
  const Bytes frame(data, static_cast<size_t>(size));
  const bool is_settings = frame.size() > kFrameHeadSize && frame[3] == NGHTTP2_SETTINGS &&
                           (frame[4] & NGHTTP2_FLAG_ACK) == 0;
  if (!is_settings) return frame;
  patch_settings(frame);
  return patched_settings_;
}

void Nghttp2Server::patch_settings(Bytes frame) {
  patched_settings_.assign(frame.begin(), frame.end());
  for (size_t at = kFrameHeadSize; at + kSettingSize <= patched_settings_.size();
       at += kSettingSize) {
    uint8_t* entry = patched_settings_.data() + at;
    if (entry[0] != 0 || entry[1] != NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) continue;
    for (size_t byte = 0; byte < 4; ++byte) {
      entry[2 + byte] = static_cast<uint8_t>(max_concurrent_streams_ >> (24 - 8 * byte));
    }
  }
}

void Nghttp2Server::submit_interim(int32_t stream_id, const ResponseHead& head) {
  const std::string status = std::to_string(head.status);
  NvList fields;
  fields.add(":status", status);
  fields.add_all(head.fields);
  nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, stream_id, nullptr, fields.data(),
                         fields.size(), nullptr);
}

void Nghttp2Server::submit_response(int32_t stream_id, const ResponseHead& head) {
  const std::string status = std::to_string(head.status);
  NvList fields;
  fields.add(":status", status);
  fields.add_all(head.fields);
  fields.add("via", response_via_);
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read_data;
  nghttp2_submit_response(session_.get(), stream_id, fields.data(), fields.size(),
                          head.body == BodyKind::kNone ? nullptr : &body);
}

void Nghttp2Server::resume_response(int32_t stream_id) {
  // Fails when nothing is deferred: then the data is asked for anyway.
  nghttp2_session_resume_data(session_.get(), stream_id);
}

void Nghttp2Server::set_urgency(int32_t stream_id, uint8_t urgency) {
  const nghttp2_extpri priority{urgency, /*inc=*/1};
  nghttp2_session_change_extpri_stream_priority(session_.get(), stream_id, &priority,
                                                /*ignore_client_signal=*/1);
}

void Nghttp2Server::reset_stream(int32_t stream_id, uint32_t code) {
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream_id, code);
}

void Nghttp2Server::return_stream_credit(int32_t stream_id, size_t count) {
  nghttp2_session_consume_stream(session_.get(), stream_id, count);
}

void Nghttp2Server::return_link_credit(size_t count) {
  nghttp2_session_consume_connection(session_.get(), count);
}

void Nghttp2Server::widen_stream_window(int32_t stream_id, uint32_t bytes) {
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, stream_id,
                                        static_cast<int32_t>(bytes));
}

void Nghttp2Server::announce_streams(uint32_t max_concurrent_streams) {
  max_concurrent_streams_ = max_concurrent_streams;
  const nghttp2_settings_entry entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kNoLimitForNghttp2};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, &entry, 1);
}

void Nghttp2Server::announce_leaving() {
  nghttp2_submit_shutdown_notice(session_.get());
}

void Nghttp2Server::announce_last_stream() {
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

void Nghttp2Server::submit_ping() {
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
}

void Nghttp2Server::terminate(uint32_t code) {
  nghttp2_session_terminate_session(session_.get(), code);
}

void Nghttp2Server::set_stream_data(int32_t stream_id, void* data) {
  nghttp2_session_set_stream_user_data(session_.get(), stream_id, data);
}

void* Nghttp2Server::stream_data(int32_t stream_id) const {
  return nghttp2_session_get_stream_user_data(session_.get(), stream_id);
}

bool Nghttp2Server::has_credit(int32_t stream_id, size_t bytes) const {
  return std::cmp_less_equal(bytes, nghttp2_session_get_remote_window_size(session_.get())) &&
         std::cmp_less_equal(
             bytes, nghttp2_session_get_stream_remote_window_size(session_.get(), stream_id));
}

size_t Nghttp2Server::queued_frames() const {
  return nghttp2_session_get_outbound_queue_size(session_.get());
}

bool Nghttp2Server::wants_to_write() const {
  return nghttp2_session_want_write(session_.get()) != 0;
}

bool Nghttp2Server::finished() const {
  return nghttp2_session_want_read(session_.get()) == 0 &&
         nghttp2_session_want_write(session_.get()) == 0;
}

}  // namespace ptth
