#pragma once

// A worker's connection from TLS to the answer to its hello, for the profiles in which that is an
// HTTP/1.1 request. Between an entrance and the dispatcher.

#include "common/byte_stream.h"
#include "common/http1_request_parser.h"
#include "common/loop.h"
#include "common/record_gate.h"
#include "tests/gateway/faults.h"
#include "tests/gateway/hello_rules.h"

#include <memory>
#include <optional>

namespace ptth::dev {

class WorkerHello final : private ByteStream::Listener {
 public:
  class Listener {
   public:
    // The stream is the worker's. It has its answer, but for kPtth10, whose worker waits for it.
    virtual void on_hello_accepted(WorkerHello& hello, const HelloVerdict& verdict,
                                   std::unique_ptr<ByteStream> stream) = 0;
    // An answer was given; the worker may try again, here or on another connection.
    virtual void on_hello_refused(WorkerHello& hello, const HelloVerdict& verdict) = 0;
    // Terminal, as accepted is. Retire the hello.
    virtual void on_hello_ended(WorkerHello& hello) = 0;

   protected:
    ~Listener() = default;
  };

  struct Options {
    HelloRules rules;
    std::string name;            // Of the worker's certificate; empty: it has shown none.
    std::string exporter;        // As for a worker's session.
    RecordGate* gate = nullptr;  // Beneath TLS, as it arrived: for whoever gets the stream.
    Scheme scheme = Scheme::kHttps;
    Milliseconds timeout{10'000};
    Milliseconds close_timeout{2'000};  // From our no to the worker's last byte.
    std::optional<int> fault_status;    // The answer to the first hello, whatever it says.
  };

  // Owns the stream. Nothing is called from inside the constructor.
  WorkerHello(Loop& loop, std::unique_ptr<ByteStream> stream, Options options, Listener& listener);
  ~WorkerHello();
  WorkerHello(const WorkerHello&) = delete;
  WorkerHello& operator=(const WorkerHello&) = delete;
  WorkerHello(WorkerHello&&) = delete;
  WorkerHello& operator=(WorkerHello&&) = delete;

  [[nodiscard]] const Options& options() const { return options_; }

 private:
  void on_bytes(Bytes bytes) override;

  void on_end() override { end(); }

  void on_failed(const Error&) override { end(); }

  void on_sent() override {}

  void judge(Bytes rest);
  void refuse(const HelloVerdict& verdict);
  void end();

  Loop& loop_;
  Options options_;
  Listener& listener_;
  std::unique_ptr<ByteStream> stream_;
  Http1RequestParser parser_;
  bool is_refused_ = false;
  Timer timer_;
};

}  // namespace ptth::dev
