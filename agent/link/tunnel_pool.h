#pragma once

// TunnelPool: the HTTP/2 connections of one gateway that carry several channels each (RFC 8441).
// Links borrow a stream for each channel; the pool owns what carries them, dials it when there is
// no room, and lets go of it when the last channel has gone.

#include "agent/link/link.h"
#include "agent/link/tunnel_options.h"
#include "agent/link/tunnel_stream.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ptth {

class TunnelPool final : private TunnelStream::Lender {
 public:
  // All of it outlives the pool, which outlives what it has lent.
  TunnelPool(const Link::Surroundings& surroundings, const GatewayOptions& gateway);
  ~TunnelPool();
  TunnelPool(const TunnelPool&) = delete;
  TunnelPool& operator=(const TunnelPool&) = delete;
  TunnelPool(TunnelPool&&) = delete;
  TunnelPool& operator=(TunnelPool&&) = delete;

  // Of the fullest connection that has room, or of one that is being dialled; the stream hears of
  // it from the loop.
  [[nodiscard]] std::unique_ptr<TunnelStream> lend();
  // What was dialled until now is not lent any more: it may rest on credentials that have changed.
  void renew();

 private:
  class Outer;

  void on_returned(TunnelStream& stream) override;

  void assign(TunnelStream& stream);
  Outer& dial();
  void carry_what_waits();
  // For an Outer.
  void learn_streams_max(uint32_t count);
  void forget(Outer& outer);
  void count();

  const Link::Surroundings around_;  // tunnels is null: what carries is carried by nothing.
  const GatewayOptions& gateway_;
  Gauge& connections_;
  Gauge& channels_;
  // The last that this gateway has announced.
  uint32_t streams_max_ = UINT32_MAX;
  std::vector<std::unique_ptr<Outer>> outers_;
  EndOfTurn carry_;
};

}  // namespace ptth
