#include "agent/origin/origin_dial.h"

#include <utility>

namespace ptth {

OriginDial::OriginDial(Loop& loop, Network& network, const HttpOriginOptions& options, Done done)
    : done_(std::move(done)) {
  ConnectAttempt::Options connect;
  connect.peer = Side::kOrigin;
  if (!options.unix_path.empty()) {
    unix_attempt_ = ConnectAttempt::unix_socket(
        loop, options.unix_path, connect,
        [this](Result<std::unique_ptr<ByteStream>> result) { done_(std::move(result)); });
    return;
  }
  DialOptions dial;
  dial.host = options.host;
  dial.port = options.port;
  dial.deadline = options.connect_timeout;
  dial.connect = connect;
  Dialer::Listener& listener = *this;
  dialer_ = std::make_unique<Dialer>(loop, network, dial, listener);
}

OriginDial::~OriginDial() = default;

void OriginDial::on_dialed(std::unique_ptr<ByteStream> stream, const Address& /*address*/) {
  done_(std::move(stream));
}

void OriginDial::on_dial_failed(const Error& error) {
  done_(error);
}

}  // namespace ptth
