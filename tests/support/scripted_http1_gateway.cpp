#include "tests/support/scripted_http1_gateway.h"

#include <utility>
#include <vector>

namespace ptth {

ScriptedHttp1Gateway::ScriptedHttp1Gateway(SessionOptions options)
    : own_loop(std::make_unique<Loop>(ClockMode::kManual)), loop(*own_loop) {
  session_ = start_http1_session({loop, stream, scripted_origin, log, relay_metrics, budget},
                                 std::move(options), *this);
  loop.turn();
}

ScriptedHttp1Gateway::ScriptedHttp1Gateway(SessionOptions options, Loop& shared_loop,
                                           Origin& origin, Budget* gateway_budget, TurnShare* turn)
    : loop(shared_loop) {
  session_ = start_http1_session({loop, stream, origin, log, relay_metrics,
                                  gateway_budget == nullptr ? budget : *gateway_budget, turn},
                                 std::move(options), *this);
  loop.turn();
}

ScriptedHttp1Gateway::~ScriptedHttp1Gateway() {
  session_.reset();
  loop.turn();
}

void ScriptedHttp1Gateway::send(std::string_view text) {
  // Memory of its own, so that a view kept too long is found by ASan.
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  stream.deliver(bytes);
  loop.turn();
}

void ScriptedHttp1Gateway::get(std::string_view path, std::string_view lines) {
  send("GET " + std::string(path) + " HTTP/1.1\r\nHost: app.example\r\n" + std::string(lines) +
       "\r\n");
}

void ScriptedHttp1Gateway::post(std::string_view lines, std::string_view body) {
  send("POST / HTTP/1.1\r\nHost: app.example\r\n" + std::string(lines) + "\r\n" +
       std::string(body));
}

std::string ScriptedHttp1Gateway::take() {
  loop.turn();
  const std::vector<uint8_t> written = stream.take_written();
  return {written.begin(), written.end()};
}

uint64_t ScriptedHttp1Gateway::count(Verdict verdict) const {
  return relay_metrics.exchanges[static_cast<size_t>(verdict)]->value();
}

void ScriptedHttp1Gateway::answer(size_t index, std::string_view body) {
  FieldList fields;
  fields.add("content-length", std::to_string(body.size()));
  call(index).answer_head(200, BodyKind::kLength, std::move(fields));
  call(index).answer_body(std::string(body));
  call(index).answer_end();
  loop.turn();
}

}  // namespace ptth
