#pragma once

// The development gateway as a whole: entrances for workers and users, the dispatcher between them,
// and the order in which they stop.

#include "common/log.h"
#include "common/loop.h"
#include "common/tls_stream.h"
#include "tests/gateway/dispatcher.h"
#include "tests/gateway/entrance.h"
#include "tests/gateway/outer_session.h"
#include "tests/gateway/program.h"
#include "tests/gateway/reserve.h"
#include "tests/gateway/user_front.h"
#include "tests/gateway/worker_hello.h"
#include "tests/gateway/worker_session.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ptth::dev {

class DevGateway final : private WorkerHello::Listener,
                         private OuterSession::Listener,
                         private Reserve::Listener {
 public:
  enum class WorkerTls { kOn, kOff };

  struct WorkerEntrance {
    WorkerProfile profile;
    std::string address;
    std::vector<std::string> alpn;
    std::vector<std::string> http1_alpn = {};  // Ids after which the channel is HTTP/1.1.
  };

  // The session that an Envoy begins behind the hello.
  enum class InnerTls { kOn, kOff };

  struct Options {
    std::vector<WorkerEntrance> workers;
    std::vector<std::string> users;      // Cleartext: HTTP/1.1, HTTP/2 with prior knowledge.
    std::vector<std::string> users_tls;  // HTTPS: HTTP/1.1, HTTP/2 by ALPN.
    WorkerTls worker_tls = WorkerTls::kOn;
    TlsOptions tls;  // Our certificate; for workers also whether they need one.
    WorkerSession::Options session;
    HelloRules hello;             // The profile is the entrance's.
    uint32_t channels_max = 100;  // Of a connection of kPtthConnect and kReverseConnect.
    InnerTls inner_tls = InnerTls::kOn;
    UnusedWorker::Options unused;
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

  // In the order of the options; the names are those of the profiles, http and https.
  [[nodiscard]] std::vector<Port> ports() const;
  // Accepts no more, lets requests finish, says GOAWAY to the workers and then on the connections
  // of their channels; then calls stopped. From the loop itself, not from inside a callback of the
  // gateway's.
  void stop(std::function<void()> stopped);

 private:
  DevGateway(Loop& loop, Log& log, Options options);
  [[nodiscard]] Result<void> open_contexts();
  [[nodiscard]] Result<void> open_workers(const WorkerEntrance& workers);
  [[nodiscard]] Result<void> open_users(const std::string& address, Scheme scheme);
  [[nodiscard]] Result<void> open_entrance(Entrance::Options options, Entrance::Arrived arrived);
  void on_hello_accepted(WorkerHello& hello, const HelloVerdict& verdict,
                         std::unique_ptr<ByteStream> stream) override;
  void on_hello_refused(WorkerHello& hello, const HelloVerdict& verdict) override;
  void on_hello_ended(WorkerHello& hello) override;
  std::optional<int> next_hello_fault() override;
  void on_channel_opened(OuterSession& outer, const HelloVerdict& verdict,
                         std::unique_ptr<ByteStream> stream) override;
  void on_channel_refused(OuterSession& outer, const HelloVerdict& verdict) override;
  void on_outer_ended(OuterSession& outer) override;
  void on_reserve_usable(const UnusedWorker::Options& worker,
                         std::unique_ptr<ByteStream> stream) override;
  void on_reserve_lapsed(const UnusedWorker::Options& worker,
                         std::unique_ptr<ByteStream> stream) override;
  void on_reserve_lost() override;
  void on_starved(size_t waiting);
  [[nodiscard]] Channel channel_of(const WorkerEntrance& workers, std::string_view alpn) const;

  struct Newcomer {
    WorkerProfile profile;
    Channel channel;
    const std::string& name;
    const std::string& exporter;
  };

  void add_worker(const Newcomer& worker, std::unique_ptr<ByteStream> stream);
  void hear_hello(WorkerProfile profile, Entrance::Arrival arrival);
  void hear_channels(WorkerProfile profile, Entrance::Arrival arrival);
  void tell_refused(const HelloRules& rules, const std::string& name, const HelloVerdict& verdict);
  void retire(WorkerHello& hello);
  void front_is_empty();
  void leave_outers();

  Loop& loop_;
  Log& log_;
  Options options_;
  std::unique_ptr<TlsContext> worker_tls_;
  std::unique_ptr<TlsContext> user_tls_;
  std::unique_ptr<TlsContext> inner_tls_;  // Towards Envoy's workers, as client.
  Dispatcher dispatcher_;
  UserFront http_;
  UserFront https_;
  std::vector<std::unique_ptr<WorkerHello>> hellos_;
  std::vector<std::unique_ptr<OuterSession>> outers_;
  Reserve reserve_;
  uint64_t hellos_heard_ = 0;
  std::vector<std::unique_ptr<Entrance>> entrances_;
  size_t fronts_left_ = 2;
  bool outers_leave_ = false;
  std::function<void()> stopped_;
};

}  // namespace ptth::dev
