#pragma once

// A listening socket that gives connections as they become usable: accepted, and secured if it
// speaks TLS. The way in for workers and for users.

#include "common/byte_stream.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record_gate.h"
#include "common/tcp_stream.h"
#include "common/tls_stream.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth::dev {

class Entrance {
 public:
  enum class LeavesTls { kNo, kYes };

  struct Options {
    std::string name;           // For people: what is listened for.
    std::string address;        // As for Listener::listen; port 0 lets the kernel choose.
    TlsContext* tls = nullptr;  // Null: cleartext. Outlives the entrance.
    TlsStream::Parameters parameters;
    std::string exporter_label;
    // kYes: what has come in may go on beneath TLS.
    LeavesTls leaves_tls = LeavesTls::kNo;
    Milliseconds handshake_timeout{10'000};
  };

  // What has come in. alpn, common_name and exporter are empty without TLS or when there is none.
  struct Arrival {
    std::unique_ptr<ByteStream> stream;
    std::string alpn = {};
    std::string common_name = {};
    std::string exporter = {};   // Of Options::exporter_label.
    RecordGate* gate = nullptr;  // Beneath TLS, for LeavesTls::kYes; the stream owns it.
  };

  using Arrived = std::function<void(Arrival)>;

  [[nodiscard]] static Result<std::unique_ptr<Entrance>> open(Loop& loop, Log& log, Options options,
                                                              Arrived arrived);
  ~Entrance();
  Entrance(const Entrance&) = delete;
  Entrance& operator=(const Entrance&) = delete;
  Entrance(Entrance&&) = delete;
  Entrance& operator=(Entrance&&) = delete;

  [[nodiscard]] int port() const { return listener_->port(); }

  [[nodiscard]] const Options& options() const { return options_; }

 private:
  class Handshake;

  Entrance(Loop& loop, Log& log, Options options, Arrived arrived);
  void accepted(std::unique_ptr<ByteStream> stream);
  void end(Handshake& handshake);

  Loop& loop_;
  Log& log_;
  Options options_;
  Arrived arrived_;
  std::vector<std::unique_ptr<Handshake>> handshakes_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace ptth::dev
