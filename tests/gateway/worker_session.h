#pragma once

// The HTTP client that runs on a connection that a worker dialled: HTTP/2, in both preface dialects
// (protocols.md section 0), or HTTP/1.1; one file each. Each request becomes a WorkerCall. Between
// the dispatcher and the worker's ByteStream.

#include "agent/origin/origin.h"
#include "common/byte_stream.h"
#include "common/loop.h"
#include "tests/gateway/faults.h"
#include "tests/gateway/origin_rules.h"
#include "tests/gateway/worker_profile.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ptth::dev {

class WorkerSession {
 public:
  class Listener {
   public:
    // HTTP/2: the worker's SETTINGS and its acknowledgement of ours have come. HTTP/1.1: at once.
    virtual void on_worker_attached(WorkerSession& worker) = 0;
    // Once attached: more SETTINGS have come, so streams_limit() may have changed.
    virtual void on_worker_limit(WorkerSession& worker) = 0;
    // A request has left, so room() has grown.
    virtual void on_worker_room(WorkerSession& worker) = 0;
    // GOAWAY, or "Connection: close": the worker takes no new requests.
    virtual void on_worker_leaving(WorkerSession& worker) = 0;
    // Terminal: every call has failed before. Retire the session.
    virtual void on_worker_ended(WorkerSession& worker, const Error& error) = 0;

   protected:
    ~Listener() = default;
  };

  struct Options {
    WorkerProfile profile = WorkerProfile::kHaproxy;
    Channel channel = Channel::kHttp2;
    std::string name;                  // For people: the certificate's common name, or a number.
    std::string exporter;              // Of its TLS connection, for a challenge; empty: none.
    uint64_t number = 0;               // The how many-th connection.
    uint32_t streams_max = 1000;       // At once, also when the worker would take more.
    uint32_t stream_window = 1 << 18;  // Credit for the body of one answer.
    uint32_t link_window = 1 << 24;
    size_t output_bytes_max = size_t{256} * 1024;  // Frames that the kernel has not yet taken.
    Milliseconds attach_timeout{10'000};
    Milliseconds ping_after{15'000};  // Silence before we ask.
    Milliseconds ping_timeout{5'000};
    Milliseconds close_timeout{2'000};  // From our last byte to the worker's.
    OriginRules origins;                // kH2Reverse: what the worker may announce.
    ConnectionFaults faults;
  };

  // Owns the stream. Nothing is called from inside start.
  [[nodiscard]] static std::unique_ptr<WorkerSession> start(Loop& loop,
                                                            std::unique_ptr<ByteStream> stream,
                                                            Options options, Listener& listener);

  WorkerSession() = default;
  WorkerSession(const WorkerSession&) = delete;
  WorkerSession& operator=(const WorkerSession&) = delete;
  WorkerSession(WorkerSession&&) = delete;
  WorkerSession& operator=(WorkerSession&&) = delete;
  virtual ~WorkerSession() = default;

  // The contract of Origin::start. Only while room() > 0.
  [[nodiscard]] virtual std::unique_ptr<OriginCall> call(const RequestHead& head,
                                                         const RequestFaults& faults,
                                                         ResponseListener& listener) = 0;
  // GOAWAY, if there is such, then on_worker_ended once the requests in flight have finished.
  virtual void leave() = 0;

  [[nodiscard]] virtual bool attached() const = 0;
  // How many more requests may start now; 0 unless attached.
  [[nodiscard]] virtual size_t room() const = 0;
  [[nodiscard]] virtual size_t in_flight() const = 0;
  // The worker's MAX_CONCURRENT_STREAMS, bounded by streams_max; with HTTP/1.1 it is 1.
  [[nodiscard]] virtual size_t streams_limit() const = 0;
  [[nodiscard]] virtual const Options& options() const = 0;
};

}  // namespace ptth::dev
