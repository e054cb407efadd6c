#pragma once

// A worker's connection that waits, behind its hello, until a request needs it: an Envoy keeps it
// alive with pings (protocols.md section 6); PTTH/1.0 lets the worker wait for its answer
// (section 7). Between WorkerHello and a WorkerSession.

#include "common/byte_stream.h"
#include "common/loop.h"
#include "common/record_gate.h"
#include "common/tls_stream.h"
#include "tests/gateway/worker_profile.h"

#include <cstdint>
#include <memory>
#include <string>

namespace ptth::dev {

class UnusedWorker {
 public:
  // Each of these is terminal. Retire the worker.
  class Listener {
   public:
    // After use(): the stream is as a WorkerSession wants it.
    virtual void on_worker_usable(UnusedWorker& worker, std::unique_ptr<ByteStream> stream) = 0;
    // kPtth10: nothing came in its time, and it was told; its next hello comes on the stream.
    virtual void on_worker_lapsed(UnusedWorker& worker, std::unique_ptr<ByteStream> stream) = 0;
    virtual void on_worker_lost(UnusedWorker& worker, const Error& error) = 0;

   protected:
    ~Listener() = default;
  };

  struct Options {
    WorkerProfile profile = WorkerProfile::kEnvoy;
    std::string name;         // As for a worker's session.
    std::string certificate;  // The name of the certificate, as its hello had it.
    std::string exporter;     // Of the TLS connection of its hello.
    uint64_t number = 0;      // The how many-th; spreads the pings of many.
    // kEnvoy
    Milliseconds ping_interval{2'000};
    Milliseconds handshake_timeout{10'000};
    TlsContext* inner_tls = nullptr;  // Of the session that follows; null: it is in cleartext.
    std::string inner_name;           // That the worker's certificate must carry there.
    // kPtth10
    Milliseconds wait_max{20'000};  // Then 204.
  };

  // gate: beneath the stream, if that is TLS, which is left without a word; else null. Nothing is
  // called from inside these two, nor from inside use().
  [[nodiscard]] static std::unique_ptr<UnusedWorker> envoy(Loop& loop,
                                                           std::unique_ptr<ByteStream> stream,
                                                           RecordGate* gate, Options options,
                                                           Listener& listener);
  // answer: what the worker waits for.
  [[nodiscard]] static std::unique_ptr<UnusedWorker> poll(Loop& loop,
                                                          std::unique_ptr<ByteStream> stream,
                                                          std::string answer, Options options,
                                                          Listener& listener);

  UnusedWorker() = default;
  UnusedWorker(const UnusedWorker&) = delete;
  UnusedWorker& operator=(const UnusedWorker&) = delete;
  UnusedWorker(UnusedWorker&&) = delete;
  UnusedWorker& operator=(UnusedWorker&&) = delete;
  virtual ~UnusedWorker() = default;

  // Once. It never comes back.
  virtual void use() = 0;

  [[nodiscard]] virtual const Options& options() const = 0;
};

}  // namespace ptth::dev
