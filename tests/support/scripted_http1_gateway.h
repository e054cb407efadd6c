#pragma once

// A gateway on one session of HTTP/1.1, played by the test: text in, text out, manual clock.

#include "agent/relay/budget.h"
#include "agent/relay/http1_session.h"
#include "agent/relay/relay_metrics.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "tests/support/memory_stream.h"
#include "tests/support/scripted_origin.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ptth {

class ScriptedHttp1Gateway final : private Session::Listener {
 public:
  explicit ScriptedHttp1Gateway(SessionOptions options = {});
  // With another origin than the scripted one, and a quota: null is a budget that nothing exceeds,
  // and all of the turn.
  ScriptedHttp1Gateway(SessionOptions options, Loop& shared_loop, Origin& origin,
                       Budget* gateway_budget = nullptr, TurnShare* turn = nullptr);
  ~ScriptedHttp1Gateway();
  ScriptedHttp1Gateway(const ScriptedHttp1Gateway&) = delete;
  ScriptedHttp1Gateway& operator=(const ScriptedHttp1Gateway&) = delete;
  ScriptedHttp1Gateway(ScriptedHttp1Gateway&&) = delete;
  ScriptedHttp1Gateway& operator=(ScriptedHttp1Gateway&&) = delete;

  // Sends and lets the loop turn.
  void send(std::string_view text);
  // "GET path HTTP/1.1" with Host and those lines, each with its CRLF.
  void get(std::string_view path = "/", std::string_view lines = "");
  void post(std::string_view lines, std::string_view body = "");

  // All that the session has written since the last call.
  [[nodiscard]] std::string take();

  [[nodiscard]] uint64_t count(Verdict verdict) const;

  Session& session() { return *session_; }

  ScriptedOrigin::Seen& call(size_t index = 0) { return *scripted_origin.calls.at(index); }

  [[nodiscard]] size_t calls() const { return scripted_origin.calls.size(); }

  // A whole answer of the origin.
  void answer(size_t index, std::string_view body = "hello");

  std::unique_ptr<Loop> own_loop;
  Loop& loop;
  ScriptedOrigin scripted_origin;
  MemoryStream stream;
  Metrics metrics;
  RelayMetrics relay_metrics{metrics, "gw"};
  Log log{{LogLevel::kOff, LogFormat::kJson, 2}};
  Budget budget;
  bool attached = false;
  std::optional<Error> ended;

 private:
  void on_session_attached() override { attached = true; }

  void on_session_leaving() override {}

  void on_session_ended(const Error& error) override { ended = error; }

  std::unique_ptr<Session> session_;
};

}  // namespace ptth
