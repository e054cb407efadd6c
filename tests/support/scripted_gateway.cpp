#include "tests/support/scripted_gateway.h"

#include <utility>

namespace ptth {

HeaderFields request_fields(const std::string& method, const std::string& path,
                            const HeaderFields& more) {
  HeaderFields fields = {
      {":method", method}, {":scheme", "https"}, {":authority", "app.example"}, {":path", path}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

ScriptedGateway::ScriptedGateway(SessionOptions options)
    : own_loop(std::make_unique<Loop>(ClockMode::kManual)), loop(*own_loop) {
  session_ = start_http2_session({loop, stream, scripted_origin, log, relay_metrics, budget},
                                 std::move(options), *this);
  loop.turn();
}

ScriptedGateway::ScriptedGateway(SessionOptions options, Loop& shared_loop, Origin& origin,
                                 Budget* gateway_budget, TurnShare* turn)
    : loop(shared_loop) {
  session_ = start_http2_session({loop, stream, origin, log, relay_metrics,
                                  gateway_budget == nullptr ? budget : *gateway_budget, turn},
                                 std::move(options), *this);
  loop.turn();
}

ScriptedGateway::~ScriptedGateway() {
  session_.reset();
  loop.turn();
}

void ScriptedGateway::attach() {
  send_frame(kFrameSettings, 0, 0, {});
  send_frame(kFrameSettings, kFlagAck, 0, {});
}

void ScriptedGateway::send(const std::vector<uint8_t>& bytes) {
  stream.deliver(bytes);
  loop.turn();
}

void ScriptedGateway::send_frame(uint8_t type, uint8_t flags, int32_t stream_id,
                                 const std::vector<uint8_t>& payload) {
  send(make_frame(type, flags, stream_id, payload));
}

void ScriptedGateway::request(int32_t stream_id, const HeaderFields& fields, uint8_t flags) {
  send_frame(kFrameHeaders, static_cast<uint8_t>(flags | kFlagEndHeaders), stream_id,
             encode_fields(fields));
}

void ScriptedGateway::get(int32_t stream_id, const std::string& path) {
  request(stream_id, request_fields("GET", path));
}

void ScriptedGateway::data(int32_t stream_id, const std::string& text, uint8_t flags) {
  send_frame(kFrameData, flags, stream_id, {text.begin(), text.end()});
}

void ScriptedGateway::collect() {
  loop.turn();
  for (TestFrame& frame : reader_.read(stream.take_written()))
    frames_.push_back(std::move(frame));
}

const std::vector<TestFrame>& ScriptedGateway::frames() {
  collect();
  return frames_;
}

const TestFrame* ScriptedGateway::find(uint8_t type, int32_t stream_id) {
  collect();
  for (const TestFrame& frame : frames_) {
    if (frame.type == type && frame.stream_id == stream_id) return &frame;
  }
  return nullptr;
}

size_t ScriptedGateway::count(uint8_t type, int32_t stream_id) {
  collect();
  size_t found = 0;
  for (const TestFrame& frame : frames_) {
    if (frame.type == type && frame.stream_id == stream_id) ++found;
  }
  return found;
}

std::string ScriptedGateway::status(int32_t stream_id) {
  collect();
  std::string last;
  for (const TestFrame& frame : frames_) {
    const bool is_head = frame.type == kFrameHeaders && frame.stream_id == stream_id;
    if (is_head && !frame.field(":status").empty()) last = frame.field(":status");
  }
  return last;
}

std::string ScriptedGateway::body(int32_t stream_id) {
  collect();
  std::string text;
  for (const TestFrame& frame : frames_) {
    if (frame.type == kFrameData && frame.stream_id == stream_id) {
      text.append(frame.payload.begin(), frame.payload.end());
    }
  }
  return text;
}

std::optional<uint32_t> ScriptedGateway::reset_code(int32_t stream_id) {
  const TestFrame* reset = find(kFrameReset, stream_id);
  if (reset == nullptr) return std::nullopt;
  return reset->number_at(0);
}

std::optional<uint32_t> ScriptedGateway::goaway_code() {
  const TestFrame* goaway = find(kFrameGoaway, 0);
  if (goaway == nullptr) return std::nullopt;
  return goaway->number_at(4);
}

}  // namespace ptth
