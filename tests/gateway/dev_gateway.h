#pragma once

// The development gateway as a whole: entrances for workers and users, the dispatcher between them,
// and the order in which they stop.

#include "common/log.h"
#include "common/loop.h"
#include "common/tls_stream.h"
#include "tests/gateway/dispatcher.h"
#include "tests/gateway/entrance.h"
#include "tests/gateway/program.h"
#include "tests/gateway/user_front.h"
#include "tests/gateway/worker_hello.h"
#include "tests/gateway/worker_session.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ptth::dev {

class DevGateway final : private WorkerHello::Listener {
 public:
  enum class WorkerTls { kOn, kOff };

  struct WorkerEntrance {
    WorkerProfile profile;
    std::string address;
    std::vector<std::string> alpn;
  };

  struct Options {
    std::vector<WorkerEntrance> workers;
    std::vector<std::string> users;      // Cleartext: HTTP/1.1, HTTP/2 with prior knowledge.
    std::vector<std::string> users_tls;  // HTTPS: HTTP/1.1, HTTP/2 by ALPN.
    WorkerTls worker_tls = WorkerTls::kOn;
    TlsOptions tls;  // Our certificate; for workers also whether they need one.
    WorkerSession::Options session;
    HelloRules hello;  // The profile is the entrance's.
    Dispatcher::Options dispatcher;
    Milliseconds drain_timeout{10'000};
  };

  [[nodiscard]] static Result<std::unique_ptr<DevGateway>> open(Loop& loop, Log& log,
                                                                Options options);
  ~DevGateway();
  DevGateway(const DevGateway&) = delete;
  DevGateway& operator=(const DevGateway&) = delete;
  DevGateway(DevGateway&&) = delete;
  DevGateway& operator=(DevGateway&&) = delete;

  // In the order of the options; the names are haproxy, direct, ptth, reverse, http and https.
  [[nodiscard]] std::vector<Port> ports() const;
  // Accepts no more, lets requests finish, says GOAWAY to the workers; then calls stopped.
  void stop(std::function<void()> stopped);

 private:
  DevGateway(Loop& loop, Log& log, Options options);
  [[nodiscard]] Result<void> open_contexts();
  [[nodiscard]] Result<void> open_workers(const WorkerEntrance& workers);
  [[nodiscard]] Result<void> open_users(const std::string& address, Scheme scheme);
  [[nodiscard]] Result<void> open_entrance(Entrance::Options options, Entrance::Arrived arrived);
  void on_hello_accepted(WorkerHello& hello, std::unique_ptr<ByteStream> stream) override;
  void on_hello_refused(WorkerHello& hello, const HelloVerdict& verdict) override;
  void on_hello_ended(WorkerHello& hello) override;
  void add_worker(WorkerProfile profile, Entrance::Arrival arrival);
  void hear_hello(WorkerProfile profile, Entrance::Arrival arrival);
  void retire(WorkerHello& hello);
  void front_is_empty();

  Loop& loop_;
  Log& log_;
  Options options_;
  std::unique_ptr<TlsContext> worker_tls_;
  std::unique_ptr<TlsContext> user_tls_;
  Dispatcher dispatcher_;
  UserFront http_;
  UserFront https_;
  std::vector<std::unique_ptr<WorkerHello>> hellos_;
  uint64_t hellos_heard_ = 0;
  std::vector<std::unique_ptr<Entrance>> entrances_;
  size_t fronts_left_ = 2;
  std::function<void()> stopped_;
};

}  // namespace ptth::dev
