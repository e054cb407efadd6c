#include "agent/link/tunnel_pool.h"

#include "agent/link/connection.h"
#include "agent/link/tunnel_connection.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

// What the gateway gets to see our GOAWAY, and to close.
constexpr Milliseconds kCloseGrace{1'000};

// As its Connection owns it: kept, and never used by a session.
class HeldTunnels final : public ByteStream {
 public:
  HeldTunnels(Loop& loop, std::unique_ptr<ByteStream> connected, const TunnelOptions& options,
              TunnelConnection::Listener& listener)
      : connection_(loop, std::move(connected), options, &listener) {}

  [[nodiscard]] TunnelConnection& connection() { return connection_; }

  void set_listener(ByteStream::Listener* listener) override {
    if (listener == nullptr) connection_.silence();
  }

  void write(Bytes /*bytes*/) override {}

  [[nodiscard]] size_t unsent_bytes() const override { return connection_.unsent_bytes(); }

  void pause_reading() override {}

  void resume_reading() override {}

  void shutdown() override {}

 private:
  TunnelConnection connection_;
};

// Reverses nothing: what is dialled goes to the keeper.
class KeepingProfile final : public Profile {
 public:
  class Keeper {
   public:
    // As Profile::reverse.
    virtual std::unique_ptr<ByteStream> keep(std::unique_ptr<ByteStream> connected,
                                             Profile::Listener& listener) = 0;

   protected:
    ~Keeper() = default;
  };

  KeepingProfile(const Profile& lent, Keeper& keeper) : lent_(lent), keeper_(keeper) {}

  [[nodiscard]] std::string_view name() const override { return lent_.name(); }

  [[nodiscard]] std::vector<std::string> default_alpn() const override {
    return lent_.default_alpn();
  }

  [[nodiscard]] Assurance assurance() const override { return lent_.assurance(); }

  [[nodiscard]] DrainStyle drain_style() const override { return lent_.drain_style(); }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& /*loop*/,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Profile::Listener& listener) const override {
    return keeper_.keep(std::move(connected), listener);
  }

 private:
  const Profile& lent_;
  Keeper& keeper_;
};

TunnelOptions tunnel_options(const GatewayOptions& gateway) {
  return {gateway.tunnel_window_bytes, gateway.session, gateway.channels_per_connection};
}

// Links of one connection are replaced within the last fifth of its life: it is not lent so late.
bool is_old(Milliseconds age, Milliseconds max_age) {
  return max_age.count() > 0 && age >= max_age - max_age / 5;
}

}  // namespace

// One connection, dialled as any other is, and the channels that it carries or will carry.
class TunnelPool::Outer final : private KeepingProfile::Keeper,
                                private Connection::Listener,
                                private TunnelConnection::Listener {
 public:
  Outer(TunnelPool& pool, uint32_t index)
      : pool_(pool),
        index_(index),
        profile_(*pool.around_.profiles.next().profiles().front(),
                 static_cast<KeepingProfile::Keeper&>(*this)),
        around_{pool.around_.loop,        pool.around_.origin,        pool.around_.log,
                pool.around_.metrics,     pool.around_.relay_metrics, pool.around_.budget,
                pool.around_.profiles,    pool.around_.listener,      pool.around_.network,
                pool.around_.tls_contexts},
        close_grace_(pool.around_.loop, [this] { pool_.forget(*this); }),
        connection_(std::make_unique<Connection>(
            Connection::Parameters{around_, pool.gateway_, index, 0, index, ProfileOffer(profile_)},
            static_cast<Connection::Listener&>(*this))) {}

  // No listener call comes after it.
  void silence() { connection_->silence(); }

  [[nodiscard]] uint32_t index() const { return index_; }

  [[nodiscard]] size_t channels() const { return channels_.size(); }

  [[nodiscard]] bool has_room() const {
    return !is_closed_to_new_ && !is_old(connection_->age(), pool_.gateway_.max_age) &&
           open_channels() < room();
  }

  void close_to_new() { is_closed_to_new_ = true; }

  void add(TunnelStream& stream) {
    channels_.push_back({&stream, false});
    if (is_ready_) pool_.carry_.schedule();
  }

  // False: it is none of ours.
  bool remove(const TunnelStream& stream) {
    const size_t before = channels_.size();
    std::erase_if(channels_, [&](const Channel& one) { return one.stream == &stream; });
    if (channels_.size() == before) return false;
    if (channels_.empty()) close();
    return true;
  }

  void carry_what_waits() {
    if (!is_ready_) return;
    for (size_t number = 0; number < channels_.size(); ++number) {
      if (std::exchange(channels_[number].is_carried, true)) continue;
      channels_[number].stream->carry(held_->connection(),
                                      {connection_->address(), connection_->tls_version(),
                                       connection_->age(), connection_->exporter()});
    }
  }

 private:
  struct Channel {
    TunnelStream* stream;
    bool is_carried;
  };

  std::unique_ptr<ByteStream> keep(std::unique_ptr<ByteStream> connected,
                                   Profile::Listener& listener) override;

  // Connection::Listener
  void on_connection_step(Connection& /*connection*/, LinkState /*step*/) override {}

  void on_connection_leaving(Connection& /*connection*/) override {}

  void on_connection_replacement_wanted(Connection& /*connection*/) override {}

  void on_connection_load_changed(Connection& /*connection*/) override {}

  void on_connection_ended(Connection& connection, const Error& error) override;

  void on_connection_redirected(Connection& /*connection*/,
                                std::unique_ptr<Detour> /*detour*/) override {}

  // TunnelConnection::Listener
  void on_tunnels_ready() override;

  void on_tunnels_leaving() override { is_closed_to_new_ = true; }

  void on_tunnels_over(const Error& error) override { dialled_->on_not_reversed(error); }

  // What the gateway has ended stays until its link lets go of it, which may be after that link has
  // asked for the next.
  [[nodiscard]] size_t open_channels() const {
    return static_cast<size_t>(
        std::count_if(channels_.begin(), channels_.end(),
                      [](const Channel& channel) { return !channel.stream->is_over(); }));
  }

  // One is tried in any case.
  [[nodiscard]] size_t room() const {
    const uint32_t allowed = is_ready_ ? held_->connection().streams_max() : pool_.streams_max_;
    return std::min(pool_.gateway_.channels_per_connection, std::max(allowed, 1U));
  }

  void close();

  TunnelPool& pool_;
  uint32_t index_;
  KeepingProfile profile_;
  Link::Surroundings around_;
  std::vector<Channel> channels_;
  bool is_ready_ = false;
  bool is_closed_to_new_ = false;
  // What the connection has made of what it dialled, and that in its role as the profile's
  // listener.
  HeldTunnels* held_ = nullptr;
  Profile::Listener* dialled_ = nullptr;
  Timer close_grace_;
  std::unique_ptr<Connection> connection_;
};

std::unique_ptr<ByteStream> TunnelPool::Outer::keep(std::unique_ptr<ByteStream> connected,
                                                    Profile::Listener& listener) {
  auto held = std::make_unique<HeldTunnels>(pool_.around_.loop, std::move(connected),
                                            tunnel_options(pool_.gateway_),
                                            static_cast<TunnelConnection::Listener&>(*this));
  held_ = held.get();
  dialled_ = &listener;
  return held;
}

void TunnelPool::Outer::on_tunnels_ready() {
  is_ready_ = true;
  pool_.learn_streams_max(held_->connection().streams_max());
  dialled_->on_held(ChannelProtocol::kHttp2);
  while (channels_.size() > room()) {
    TunnelStream& stream = *channels_.back().stream;
    channels_.pop_back();
    pool_.assign(stream);
  }
  carry_what_waits();
}

// Those that it carried have been told already.
void TunnelPool::Outer::on_connection_ended(Connection& /*connection*/, const Error& error) {
  is_closed_to_new_ = true;
  for (const Channel& channel : std::exchange(channels_, {}))
    channel.stream->fail(error);
  pool_.forget(*this);
}

void TunnelPool::Outer::close() {
  is_closed_to_new_ = true;
  if (is_ready_) {
    held_->connection().leave();
    close_grace_.start(kCloseGrace);
  } else {
    pool_.forget(*this);
  }
}

TunnelPool::TunnelPool(const Link::Surroundings& surroundings, const GatewayOptions& gateway)
    : around_(surroundings),
      gateway_(gateway),
      connections_(surroundings.metrics.gauge("ptth_tunnel_connections",
                                              "Connections that carry several channels.",
                                              {{"gateway", gateway.name}})),
      channels_(surroundings.metrics.gauge("ptth_tunnel_channels",
                                           "Channels that such connections carry, or will.",
                                           {{"gateway", gateway.name}})),
      carry_(surroundings.loop, [this] { carry_what_waits(); }) {}

TunnelPool::~TunnelPool() {
  for (const auto& outer : outers_)
    outer->silence();
  outers_.clear();
  count();
}

std::unique_ptr<TunnelStream> TunnelPool::lend() {
  auto stream = std::make_unique<TunnelStream>(static_cast<TunnelStream::Lender&>(*this));
  assign(*stream);
  return stream;
}

void TunnelPool::renew() {
  for (const auto& outer : outers_)
    outer->close_to_new();
}

void TunnelPool::assign(TunnelStream& stream) {
  Outer* chosen = nullptr;
  for (const auto& outer : outers_) {
    const bool is_better = chosen == nullptr || outer->channels() > chosen->channels();
    if (outer->has_room() && is_better) chosen = outer.get();
  }
  if (chosen == nullptr) chosen = &dial();
  chosen->add(stream);
  count();
}

// The lowest index that is free: it chooses the address.
TunnelPool::Outer& TunnelPool::dial() {
  uint32_t index = 0;
  const auto is_taken = [&](const auto& outer) { return outer->index() == index; };
  while (std::any_of(outers_.begin(), outers_.end(), is_taken))
    ++index;
  outers_.push_back(std::make_unique<Outer>(*this, index));
  return *outers_.back();
}

void TunnelPool::on_returned(TunnelStream& stream) {
  for (const auto& outer : outers_) {
    if (outer->remove(stream)) break;
  }
  count();
}

void TunnelPool::carry_what_waits() {
  for (const auto& outer : outers_)
    outer->carry_what_waits();
}

void TunnelPool::learn_streams_max(uint32_t count) {
  streams_max_ = count;
}

void TunnelPool::forget(Outer& outer) {
  const auto found = std::find_if(outers_.begin(), outers_.end(),
                                  [&](const auto& one) { return one.get() == &outer; });
  CHECK_INVARIANT(found != outers_.end());
  outer.silence();
  around_.loop.retire(std::move(*found));
  outers_.erase(found);
  count();
}

void TunnelPool::count() {
  size_t channels = 0;
  for (const auto& outer : outers_)
    channels += outer->channels();
  connections_.set(static_cast<double>(outers_.size()));
  channels_.set(static_cast<double>(channels));
}

}  // namespace ptth
