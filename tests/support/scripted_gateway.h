#pragma once

// A gateway on one session, played by the test: frames in, frames out, manual clock.

#include "agent/relay/budget.h"
#include "agent/relay/http2_session.h"
#include "agent/relay/relay_metrics.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "tests/support/http2_frames.h"
#include "tests/support/memory_stream.h"
#include "tests/support/scripted_origin.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ptth {

class ScriptedGateway final : private Session::Listener {
 public:
  explicit ScriptedGateway(SessionOptions options = {});
  // With another origin than the scripted one, and a quota: null is a budget that nothing exceeds,
  // and all of the turn.
  ScriptedGateway(SessionOptions options, Loop& shared_loop, Origin& origin,
                  Budget* gateway_budget = nullptr, TurnShare* turn = nullptr);
  ~ScriptedGateway();
  ScriptedGateway(const ScriptedGateway&) = delete;
  ScriptedGateway& operator=(const ScriptedGateway&) = delete;
  ScriptedGateway(ScriptedGateway&&) = delete;
  ScriptedGateway& operator=(ScriptedGateway&&) = delete;

  // SETTINGS and the acknowledgement of the session's.
  void attach();
  // Each sends and lets the loop turn.
  void send(const std::vector<uint8_t>& bytes);
  void send_frame(uint8_t type, uint8_t flags, int32_t stream_id,
                  const std::vector<uint8_t>& payload);
  void request(int32_t stream_id, const HeaderFields& fields, uint8_t flags = kFlagEndStream);
  void get(int32_t stream_id, const std::string& path = "/");
  void data(int32_t stream_id, const std::string& text, uint8_t flags = 0);

  // All frames that the session has sent so far.
  const std::vector<TestFrame>& frames();
  // The first frame of that type on that stream.
  const TestFrame* find(uint8_t type, int32_t stream_id);
  [[nodiscard]] size_t count(uint8_t type, int32_t stream_id);
  // ":status" of the last HEADERS on the stream; empty if there is none.
  [[nodiscard]] std::string status(int32_t stream_id);
  [[nodiscard]] std::string body(int32_t stream_id);
  // The code of the RST_STREAM; nothing if there is none.
  [[nodiscard]] std::optional<uint32_t> reset_code(int32_t stream_id);
  [[nodiscard]] std::optional<uint32_t> goaway_code();

  Session& session() { return *session_; }

  ScriptedOrigin::Seen& call(size_t index) { return *scripted_origin.calls.at(index); }

  std::unique_ptr<Loop> own_loop;
  Loop& loop;
  ScriptedOrigin scripted_origin;
  MemoryStream stream;
  Metrics metrics;
  RelayMetrics relay_metrics{metrics, "gw"};
  Log log{{LogLevel::kOff, LogFormat::kJson, 2}};
  Budget budget;
  bool attached = false;
  bool leaving = false;
  std::optional<Error> ended;

 private:
  void on_session_attached() override { attached = true; }

  void on_session_leaving() override { leaving = true; }

  void on_session_ended(const Error& error) override { ended = error; }

  void collect();

  FrameReader reader_;
  std::vector<TestFrame> frames_;
  std::unique_ptr<Session> session_;
};

// ":method", ":scheme", ":authority", ":path" and more.
[[nodiscard]] HeaderFields request_fields(const std::string& method, const std::string& path,
                                          const HeaderFields& more = {});

}  // namespace ptth
