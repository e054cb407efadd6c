#include "tests/gateway/outer_session.h"

#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ptth::dev {

OuterSession::OuterSession(Loop& loop, std::unique_ptr<ByteStream> stream, Options options,
                           Listener& listener)
    : loop_(loop),
      options_(std::move(options)),
      listener_(listener),
      stream_(std::move(stream)),
      session_(make_http2(nghttp2_session_server_new2, this)),
      work_(loop, [this] { work(); }),
      idle_timer_(loop, [this] { idle_expired(); }),
      close_timer_(loop, [this] {
        end({ErrorKind::kTimeout, Side::kOrigin, "the worker did not close in time"});
      }) {
  const std::array<nghttp2_settings_entry, 4> settings{
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.channels_max},
       {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.channel_window},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options_.hello_bytes_max)}}};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  // What is not taken is bounded by channel, so that no channel holds up another.
  const uint64_t sum = uint64_t{options_.channel_window} * options_.channels_max;
  const auto link_window =
      std::clamp<uint64_t>(sum, NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE, NGHTTP2_MAX_WINDOW_SIZE);
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(link_window));
  stream_->set_listener(this);
  idle_timer_.start(options_.idle_timeout);
  work_.schedule();
}

OuterSession::~OuterSession() {
  stream_->set_listener(nullptr);
  for (OuterStream* channel : channels_)
    channel->lose();
}

void OuterSession::leave() {
  if (ended_ || std::exchange(leaving_, true)) return;
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  work_.schedule();
}

void OuterSession::on_bytes(Bytes bytes) {
  if (closing_ || ended_) return;
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  if (taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
    listener_.on_channel_refused(
        *this, no_by_source(options_.rules, 400,
                            "the connection does not begin with the client magic of HTTP/2"));
  }
  if (taken < 0) {
    end({ErrorKind::kProtocol, Side::kOrigin,
         "HTTP/2 of the connection: " + std::string(nghttp2_strerror(static_cast<int>(taken)))});
    return;
  }
  work_.schedule();
}

void OuterSession::on_end() {
  end({ErrorKind::kClosed, Side::kOrigin, "the worker closed the connection of its channels"});
}

void OuterSession::on_failed(const Error& error) {
  end(error);
}

void OuterSession::on_sent() {
  work_.schedule();
}

void OuterSession::resume(int32_t id) {
  nghttp2_session_resume_data(session_.get(), id);
  work_.schedule();
}

void OuterSession::return_credit(int32_t id, size_t count) {
  nghttp2_session_consume_stream(session_.get(), id, count);
  work_.schedule();
}

void OuterSession::deliver_soon() {
  work_.schedule();
}

void OuterSession::part(OuterStream& stream) {
  std::erase(channels_, &stream);
  if (channels_.empty() && !closing_ && !ended_) idle_timer_.start(options_.idle_timeout);
  if (!stream.is_open()) return;
  if (Asked* asked = find(stream.id())) asked->channel = nullptr;
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream.id(),
                            stream.has_ended() ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
  work_.schedule();
}

// A channel comes in here, and none goes: none is destroyed in a callback.
void OuterSession::work() {
  if (closing_ || ended_) return;
  for (const int32_t id : std::exchange(to_answer_, {})) {
    if (Asked* asked = find(id)) answer(id, *asked);
  }
  for (OuterStream* channel : channels_)
    channel->deliver();
  flush();
  for (OuterStream* channel : channels_)
    channel->tell_sent();
}

void OuterSession::flush() {
  while (stream_->unsent_bytes() < options_.output_bytes_max) {
    const uint8_t* frames = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_.get(), &frames);
    if (count == 0) break;
    if (count < 0) {
      end({ErrorKind::kInternal, Side::kLocal, nghttp2_strerror(static_cast<int>(count))});
      return;
    }
    stream_->write({frames, static_cast<size_t>(count)});
  }
  if (nghttp2_session_want_read(session_.get()) != 0 ||
      nghttp2_session_want_write(session_.get()) != 0) {
    return;
  }
  closing_ = true;
  idle_timer_.stop();
  // Unless all have ended, nghttp2 has said what is wrong.
  fail_channels({ErrorKind::kProtocol, Side::kOrigin,
                 "the worker breaks HTTP/2 on the connection of its channels"});
  stream_->shutdown();
  close_timer_.start(options_.close_timeout);
}

HelloVerdict OuterSession::judge(const Asked& asked) {
  if (const auto fault = listener_.next_hello_fault()) return no_by_fault(*fault, asked.head);
  const HelloRules& rules = options_.rules;
  if (asked.is_too_large) {
    return no_because(431, "the hello has more than " + std::to_string(options_.hello_bytes_max) +
                               " bytes of fields");
  }
  HelloVerdict verdict = judge_hello(rules, {asked.head, asked.protocol, options_.name});
  if (!verdict.is_yes()) return verdict;
  // protocols.md section 0: the worker is silent until we have spoken.
  if (asked.has_more) {
    return no_by_source(rules, 400, "something was sent behind the hello");
  }
  if (asked.has_ended) return no_by_source(rules, 400, "the stream ends with the hello");
  if (refuses_hellos_) return no_because(503, "this gateway is stopping");
  return verdict;
}

void OuterSession::answer(int32_t stream_id, Asked& asked) {
  const HelloVerdict verdict = judge(asked);
  asked.is_answered = true;
  if (verdict.is_yes()) {
    open(stream_id, asked, verdict);
  } else {
    refuse(stream_id, asked, verdict);
  }
}

void OuterSession::open(int32_t stream_id, Asked& asked, const HelloVerdict& verdict) {
  auto channel =
      std::make_unique<OuterStream>(static_cast<OuterStream::Session&>(*this), stream_id);
  asked.channel = channel.get();
  channels_.push_back(channel.get());
  idle_timer_.stop();
  const nghttp2_data_provider body = body_of<OuterSession>();
  submit(stream_id, verdict, &body);
  listener_.on_channel_opened(*this, verdict, std::move(channel));
}

void OuterSession::refuse(int32_t stream_id, Asked& asked, const HelloVerdict& verdict) {
  asked.no_text.append(as_bytes(answer_body(verdict)));
  const nghttp2_data_provider body = body_of<OuterSession>();
  submit(stream_id, verdict, asked.no_text.empty() ? nullptr : &body);
  listener_.on_channel_refused(*this, verdict);
}

void OuterSession::submit(int32_t stream_id, const HelloVerdict& verdict,
                          const nghttp2_data_provider* body) {
  FieldList fields;
  fields.add(":status", std::to_string(verdict.status));
  for (const auto& [name, value] : answer_fields(options_.rules, verdict)) {
    std::string lower_case(name);
    std::ranges::transform(lower_case, lower_case.begin(), ascii_lower);
    fields.add(lower_case, value);
  }
  std::vector<nghttp2_nv> list;
  append_fields(fields, list);
  nghttp2_submit_response(session_.get(), stream_id, list.data(), list.size(), body);
  work_.schedule();
}

void OuterSession::idle_expired() {
  listener_.on_channel_refused(
      *this, no_by_source(options_.rules, 408, "no channel was asked for in time"));
  leave();
}

void OuterSession::end(const Error& error) {
  if (std::exchange(ended_, true)) return;
  work_.cancel();
  idle_timer_.stop();
  close_timer_.stop();
  for (OuterStream* channel : channels_)
    channel->deliver();
  fail_channels(error);
  listener_.on_outer_ended(*this);
}

void OuterSession::fail_channels(const Error& error) {
  for (OuterStream* channel : channels_)
    channel->fail(error);
}

OuterSession::Asked* OuterSession::find(int32_t stream_id) {
  const auto found = asked_.find(stream_id);
  return found == asked_.end() ? nullptr : &found->second;
}

int OuterSession::begin_headers(const nghttp2_frame& frame) {
  if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) asked_.try_emplace(frame.hd.stream_id);
  return 0;
}

int OuterSession::header(const nghttp2_frame& frame, std::string_view name,
                         std::string_view value) {
  Asked* asked = find(frame.hd.stream_id);
  // What stands behind a channel says nothing to it.
  if (asked == nullptr || asked->is_whole || asked->is_too_large) return 0;
  RequestHead& head = asked->head;
  if (head.fields.list_size() + name.size() + value.size() > options_.hello_bytes_max) {
    asked->is_too_large = true;
  } else if (name == ":method") {
    head.method = value;
  } else if (name == ":protocol") {
    asked->protocol = value;
  } else if (name == ":scheme") {
    head.scheme = value;
  } else if (name == ":authority") {
    head.authority = value;
  } else if (name == ":path") {
    head.path = value;
  } else {
    head.fields.add(name, value);
  }
  return 0;
}

void OuterSession::frame_received(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  Asked* asked = find(frame.hd.stream_id);
  if (asked == nullptr) return;
  if (!std::exchange(asked->is_whole, true)) {
    // Announced, and it may follow or not.
    if (asked->head.fields.find("content-length").value_or("0") != "0") {
      asked->head.body = BodyKind::kUnknown;
    }
    to_answer_.push_back(frame.hd.stream_id);
    work_.schedule();
  }
  if (!has_end_stream(frame)) return;
  asked->has_ended = true;
  if (asked->channel != nullptr) asked->channel->on_stream_end();
}

void OuterSession::frame_sent(const nghttp2_frame& frame) {
  if (!has_end_stream(frame) ||
      (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA)) {
    return;
  }
  const Asked* asked = find(frame.hd.stream_id);
  if (asked == nullptr || asked->has_ended || asked->channel != nullptr) return;
  // RFC 9113 section 8.1: the no is whole, and nothing is wanted behind the hello.
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, frame.hd.stream_id,
                            NGHTTP2_NO_ERROR);
}

int OuterSession::body_received(int32_t stream_id, Bytes bytes) {
  nghttp2_session_consume_connection(session_.get(), bytes.size());
  Asked* asked = find(stream_id);
  if (asked == nullptr) return 0;
  asked->has_more = true;
  if (asked->channel != nullptr) {
    asked->channel->on_data(bytes);
  } else {
    nghttp2_session_consume_stream(session_.get(), stream_id, bytes.size());
  }
  return 0;
}

void OuterSession::stream_closed(int32_t stream_id, uint32_t code) {
  const auto found = asked_.find(stream_id);
  if (found == asked_.end()) return;
  const bool was_whole = found->second.is_whole;
  OuterStream* channel = found->second.channel;
  asked_.erase(found);
  if (channel != nullptr) channel->on_closed(code);
  if (was_whole) return;
  // nghttp2 has reset it.
  listener_.on_channel_refused(
      *this, no_because(400,
                        "the hello is no request as HTTP/2 has it (RFC 9113 section 8.3, RFC "
                        "8441 section 4)"));
}

ssize_t OuterSession::read_body(int32_t stream_id, std::span<uint8_t> into, uint32_t& flags) {
  Asked* asked = find(stream_id);
  if (asked == nullptr) return NGHTTP2_ERR_DEFERRED;
  if (asked->channel != nullptr) {
    auto ending = OuterStream::Ending::kOpen;
    const size_t count = asked->channel->read_outgoing(into, ending);
    if (ending == OuterStream::Ending::kEndOfStream) {
      flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (count == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(count);
  }
  const size_t count = std::min(into.size(), asked->no_text.size());
  std::copy_n(asked->no_text.front().begin(), count, into.begin());
  asked->no_text.consume(count);
  if (asked->no_text.empty()) flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(count);
}

}  // namespace ptth::dev
