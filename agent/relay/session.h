#pragma once

// Session: the HTTP server that runs on a reversed connection. Each request becomes an Exchange
// that calls an Origin. There is one per version of HTTP; each has a factory in a header of its
// own.

#include "agent/origin/origin.h"
#include "agent/relay/request_reader.h"
#include "agent/relay/session_limits.h"
#include "agent/relay/verdict.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http_rules.h"
#include "common/log.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ptth {

struct RelayMetrics;
struct Budget;
class TurnShare;

// How a gateway learns that we leave.
enum class DrainStyle {
  kAnnounce,  // GOAWAY(2^31-1), a round trip, then GOAWAY(last id) and the end (RFC 9113
              // section 6.8).
  // HAProxy answers 503 to the first request that it wants to send on a link that has announced its
  // end, and sends a refused one to the same link again until its retries are used up (haproxy.md).
  // So nothing is said at first: new requests wait, unseen by the origin, until those in flight
  // have ended; then they are refused, and GOAWAY and the end of the connection follow in the same
  // write. HAProxy takes the link out of its pool with that, and sends them elsewhere.
  kHoldAndClose,
};

// What a session borrows; all of it outlives the session.
struct SessionSurroundings {
  Loop& loop;
  ByteStream& stream;
  Origin& origin;
  Log& log;
  RelayMetrics& metrics;
  Budget& budget;                   // That the link's is within.
  TurnShare* turn_share = nullptr;  // Of the gateway's links together; null: no limit.
};

struct SessionOptions {
  SessionLimits limits;
  std::string gateway;  // Its name in logs and metrics; outlives the session by being copied.
  uint64_t link_id = 0;
  uint32_t capacity = 100;  // MAX_CONCURRENT_STREAMS, until set_capacity().
  // HTTP/2: how the gateway learns that it may send a request elsewhere.
  ReplayStyle refusal = ReplayStyle::kReset;
  RequestRules rules;
  Scheme scheme = Scheme::kHttps;  // HTTP/1.1: of requests whose target does not name one.
  DrainStyle drain_style = DrainStyle::kAnnounce;
  // HAProxy ignores the limit in the first SETTINGS (haproxy.md): send it in a second one, right
  // after attaching.
  bool capacity_in_second_settings = false;
  // HTTP/2: announced in an ORIGIN frame right behind SETTINGS (RFC 8336), each as RFC 6454
  // serializes it; empty: no such frame.
  std::vector<std::string> origin_frame;
};

class Session {
 public:
  class Listener {
   public:
    // The gateway has taken the connection into use: with HTTP/2, its SETTINGS and its
    // acknowledgement of ours have come.
    virtual void on_session_attached() = 0;
    // The gateway sends no new requests here (its GOAWAY); those in flight go on.
    virtual void on_session_leaving() = 0;

    // HTTP/1.1, where one exchange fills the connection: exchanges_in_flight() has changed. From
    // the loop.
    virtual void on_session_load_changed() {}

    // Terminal: no exchange is left and the stream is of no more use. kind kClosed with retryable:
    // a bare EOF or a GOAWAY, nothing wrong. Retire the session, then the stream.
    virtual void on_session_ended(const Error& error) = 0;

   protected:
    ~Listener() = default;
  };

  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&&) = delete;
  Session& operator=(Session&&) = delete;
  virtual ~Session() = default;

  // Leaves as DrainStyle says, without losing what is in flight; then on_session_ended.
  virtual void drain() = 0;
  // Ends every exchange now, so that the gateway sees it, and then on_session_ended.
  virtual void abort() = 0;
  [[nodiscard]] virtual size_t exchanges_in_flight() const = 0;

  // A request has come, whatever became of it.
  [[nodiscard]] virtual bool has_been_asked() const = 0;

  // HTTP/2: from now on the gateway may have so many exchanges open; told by SETTINGS, and those
  // above it are refused once it has acknowledged them. Not while it drains, which has limits of
  // its own.
  virtual void set_capacity(uint32_t capacity) { static_cast<void>(capacity); }

  // What it has been told last; 0: nothing, for HTTP/1.1 has no such limit.
  [[nodiscard]] virtual uint32_t capacity() const { return 0; }

  // The most exchanges that were open at once since the last call, and those refused above it.
  [[nodiscard]] virtual uint32_t take_demand() { return 0; }

  // HTTP/1.1, where gateways may use a connection up: answered whole.
  [[nodiscard]] virtual uint64_t exchanges_answered() const { return 0; }
};

}  // namespace ptth
