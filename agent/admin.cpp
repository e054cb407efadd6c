#include "agent/admin.h"

#include "agent/admin_connection.h"
#include "common/tcp_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace ptth {

namespace {

class AdminListener final : public Admin, public AdminConnection::Owner {
 public:
  AdminListener(Loop& loop, AdminSource& source, Metrics& metrics, const AdminOptions& options,
                AdminCapacity* capacity)
      : loop_(loop),
        options_(options),
        pages_(source, metrics, host_check_for(options.listen), capacity),
        open_connections_(
            metrics.gauge("ptth_admin_connections", "Open connections to the admin listener.")),
        displaced_(metrics.counter("ptth_admin_connections_displaced",
                                   "Connections that were closed to let another one in.")) {}

  [[nodiscard]] Result<void> listen() {
    auto listener = Listener::listen_with_place(
        loop_, options_.listen, [this](std::unique_ptr<ByteStream> stream, Listener::Place place) {
          accept(std::move(stream), place);
        });
    if (!listener.ok()) return listener.error();
    listener_ = std::move(listener).value();
    return {};
  }

  [[nodiscard]] int port() const override { return listener_->port(); }

 private:
  void accept(std::unique_ptr<ByteStream> stream, Listener::Place place) {
    if (connections_.size() >= options_.connections_max) displace_one();
    const AdminClient from = place == Listener::Place::kThisMachine ? AdminClient::kThisMachine
                                                                    : AdminClient::kElsewhere;
    connections_.push_back(std::make_unique<AdminConnection>(
        AdminConnection::Surroundings{loop_, pages_, options_, *this}, std::move(stream), from));
    open_connections_.set(static_cast<double>(connections_.size()));
  }

  // A crowd that only holds connections must not keep the probe out that decides over our life.
  void displace_one() {
    const auto longest = std::min_element(
        connections_.begin(), connections_.end(), [](const auto& left, const auto& right) {
          return left->waiting_since_ms() < right->waiting_since_ms();
        });
    if (longest == connections_.end()) return;
    displaced_.add();
    connections_.erase(longest);
  }

  void on_connection_over(AdminConnection& connection) override {
    const auto over = std::find_if(connections_.begin(), connections_.end(),
                                   [&](const auto& open) { return open.get() == &connection; });
    CHECK_INVARIANT(over != connections_.end());
    loop_.retire(std::move(*over));
    connections_.erase(over);
    open_connections_.set(static_cast<double>(connections_.size()));
  }

  Loop& loop_;
  AdminOptions options_;
  AdminPages pages_;
  Gauge& open_connections_;
  Counter& displaced_;
  // In the order in which they came.
  std::vector<std::unique_ptr<AdminConnection>> connections_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace

Result<std::unique_ptr<Admin>> Admin::start(Loop& loop, AdminSource& source, Metrics& metrics,
                                            const AdminOptions& options, AdminCapacity* capacity) {
  auto listener = std::make_unique<AdminListener>(loop, source, metrics, options, capacity);
  const Result<void> listening = listener->listen();
  if (!listening.ok()) return listening.error();
  return std::unique_ptr<Admin>(std::move(listener));
}

}  // namespace ptth
