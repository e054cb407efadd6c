#pragma once

// GatewayLink: what every Link is.

#include "agent/link/backoff.h"
#include "agent/link/connection.h"
#include "agent/link/link.h"
#include "agent/link/link_record.h"
#include "agent/link/profile_chooser.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// The policy of a link over time; each pass is a Connection.
class GatewayLink final : public Link, private Connection::Listener {
 public:
  GatewayLink(const Surroundings& around, const GatewayOptions& options, uint32_t index,
              uint32_t capacity);
  ~GatewayLink() override = default;
  GatewayLink(const GatewayLink&) = delete;
  GatewayLink& operator=(const GatewayLink&) = delete;
  GatewayLink(GatewayLink&&) = delete;
  GatewayLink& operator=(GatewayLink&&) = delete;

  void start() override { command(Command::kStart); }

  void drain() override { command(Command::kDrain); }

  void abort() override { command(Command::kAbort); }

  void renew(std::string_view reason) override;

  void credentials_arrived() override;

  void set_share(uint32_t share) override {
    capacity_ = share;
    if (active_) active_->set_capacity(share);
  }

  [[nodiscard]] uint32_t share() const override {
    return active_ ? active_->capacity() : capacity_;
  }

  [[nodiscard]] uint32_t take_demand() override { return active_ ? active_->take_demand() : 0; }

  [[nodiscard]] LinkState state() const override { return record_.state(); }

  [[nodiscard]] const std::string& gateway() const override { return options_.name; }

  [[nodiscard]] uint64_t id() const override { return index_; }

  [[nodiscard]] size_t exchanges_in_flight() const override;

  [[nodiscard]] bool carries_one_exchange() const override { return carries_one_exchange_; }

  [[nodiscard]] bool credentials_refused() const override { return record_.credentials_refused(); }

  [[nodiscard]] const std::string& last_error() const override { return record_.last_error(); }

 private:
  // Each outranks those before it.
  enum class Command { kNone, kStart, kDrain, kAbort };

  void on_connection_step(Connection& connection, LinkState step) override;
  void on_connection_leaving(Connection& connection) override;
  void on_connection_replacement_wanted(Connection& connection) override;

  void on_connection_load_changed(Connection& connection) override;
  void on_connection_ended(Connection& connection, const Error& error) override;
  void on_connection_redirected(Connection& connection, std::unique_ptr<Detour> detour) override;

  void command(Command command);
  void obey();
  void dial();
  void on_active_ended(const ProfileTrial& trial, Milliseconds attached_for, const Error& error);
  void redial_at_once(Counter& redials, std::string_view reason);
  void back_off(Milliseconds wait, std::string_view reason);
  void plan_renewal(Milliseconds wait, std::string_view reason);
  void plan_renewal_by_age();
  void plan_look();
  void look_for_better();
  void dial_successor();
  void on_successor_ended(const Error& error);
  void on_successor_redirected(std::unique_ptr<Detour> detour);
  void succeed();
  void retire_active();
  void retire(std::unique_ptr<Connection> connection);
  void drop_successor();
  [[nodiscard]] std::unique_ptr<Connection> make_connection(ProfileOffer offer);
  void note_worked(Connection& connection);
  void note_attached();
  void begin_drain();
  void begin_abort();
  [[nodiscard]] std::vector<Connection*> stop_dialling();
  void close_if_done();
  void discard(std::unique_ptr<Connection> connection);
  void discard_all();
  void transition(LinkState to, std::string_view reason);

  Surroundings around_;
  const GatewayOptions& options_;
  uint32_t index_;
  uint32_t capacity_;
  LinkRecord record_;
  const LinkMetrics& metrics_;
  Random random_;
  Backoff backoff_;
  Backoff renewal_backoff_;
  Command wanted_ = Command::kNone;
  bool lacks_credentials_ = false;  // The last attempt was refused, or could not say who we are.
  bool carries_one_exchange_ = false;
  // For the next dial only.
  std::unique_ptr<Detour> detour_;
  uint32_t redirects_ = 0;  // One after the other.
  std::unique_ptr<Connection> active_;
  // Dialled while active_ is attached, to replace it.
  std::unique_ptr<Connection> successor_;
  bool is_look_ = false;  // It, or the one that is planned, is to bring a better profile.
  std::string renewal_reason_;
  // Left by the gateway, oldest first.
  std::vector<std::unique_ptr<Connection>> retiring_;
  Timer redial_;
  Timer renewal_;
  Timer look_;
  Timer abort_grace_;
  EndOfTurn obey_;
};

}  // namespace ptth
