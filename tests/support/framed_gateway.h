#pragma once

// A gateway on a real port, in the test's own loop, written frame by frame and independent of the
// engine that it talks to: accepts workers over TLS in either dialect, sends them requests and
// counts their answers. Can also be as bad as real ones.

#include "common/byte_stream.h"
#include "common/loop.h"
#include "common/tcp_stream.h"
#include "common/tls_stream.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ptth::test {

class FramedGateway {
 public:
  enum class Dialect { kHaproxy, kDirect };  // protocols.md section 0: who sends the magic.
  enum class Behaviour {
    kServes,
    kSilent,          // Accepts, and never says anything: not even TLS.
    kClosesAfterTls,  // As HAProxy does when it does not like a certificate.
  };

  struct Options {
    TlsOptions tls;
    std::vector<std::string> alpn = {"h2"};
    Dialect dialect = Dialect::kHaproxy;
    Behaviour behaviour = Behaviour::kServes;
    int port = 0;
    std::string host = "127.0.0.1";
  };

  FramedGateway(Loop& loop, const Options& options);
  ~FramedGateway();
  FramedGateway(const FramedGateway&) = delete;
  FramedGateway& operator=(const FramedGateway&) = delete;
  FramedGateway(FramedGateway&&) = delete;
  FramedGateway& operator=(FramedGateway&&) = delete;

  [[nodiscard]] int port() const;

  // Connections so far, also those that have ended.
  [[nodiscard]] size_t accepted() const { return workers_.size(); }

  // Workers that may get requests.
  [[nodiscard]] size_t attached() const;
  // One GET to each attached worker.
  void send_requests();

  // Response heads so far.
  [[nodiscard]] size_t responses() const { return responses_; }

  // GOAWAY to every attached worker.
  void leave();
  // Ends every connection, as close_notify and FIN.
  void end_all();

 private:
  class Worker;

  Loop& loop_;
  Options options_;
  size_t responses_ = 0;
  std::unique_ptr<TlsContext> context_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace ptth::test
