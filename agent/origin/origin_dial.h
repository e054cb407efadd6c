#pragma once

// One attempt to reach the origin, by TCP or Unix socket.

#include "agent/origin/http_origin.h"
#include "common/byte_stream.h"
#include "common/dialer.h"
#include "common/loop.h"

#include <functional>
#include <memory>

namespace ptth {

// Destroying it cancels. The callback comes once, from the loop; the dial is not to be destroyed in
// it (Loop::retire).
class OriginDial final : private Dialer::Listener {
 public:
  using Done = std::function<void(Result<std::unique_ptr<ByteStream>>)>;

  OriginDial(Loop& loop, Network& network, const HttpOriginOptions& options, Done done);
  ~OriginDial();
  OriginDial(const OriginDial&) = delete;
  OriginDial& operator=(const OriginDial&) = delete;
  OriginDial(OriginDial&&) = delete;
  OriginDial& operator=(OriginDial&&) = delete;

 private:
  void on_resolved() override {}

  void on_dialed(std::unique_ptr<ByteStream> stream, const Address& address) override;
  void on_dial_failed(const Error& error) override;

  Done done_;
  std::unique_ptr<ConnectAttempt> unix_attempt_;
  std::unique_ptr<Dialer> dialer_;
};

}  // namespace ptth
