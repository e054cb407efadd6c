#include "tests/gateway/entrance.h"

#include <algorithm>
#include <utility>

namespace ptth::dev {

class Entrance::Handshake final : public TlsStream::HandshakeListener {
 public:
  Handshake(Entrance& entrance, std::unique_ptr<ByteStream> stream)
      : entrance_(entrance),
        timer_(entrance.loop_,
               [this] {
                 on_handshake_failed({ErrorKind::kTimeout, Side::kOrigin, "TLS took too long"});
               }),
        stream_(TlsStream::accept(entrance.loop_, *entrance.options_.tls, gated(std::move(stream)),
                                  entrance.options_.parameters, *this)) {
    timer_.start(entrance.options_.handshake_timeout);
  }

 private:
  std::unique_ptr<ByteStream> gated(std::unique_ptr<ByteStream> stream) {
    if (entrance_.options_.leaves_tls == LeavesTls::kNo) return stream;
    auto gate = std::make_unique<RecordGate>(entrance_.loop_, std::move(stream));
    gate_ = gate.get();
    return gate;
  }

  void on_secured() override {
    timer_.stop();
    Arrival arrival;
    arrival.alpn = stream_->alpn();
    arrival.common_name = stream_->peer_common_name();
    arrival.exporter =
        stream_->exporter_value(entrance_.options_.exporter_label).value_or(std::string());
    arrival.gate = gate_;
    arrival.stream = std::move(stream_);
    Entrance& entrance = entrance_;
    entrance.end(*this);
    entrance.arrived_(std::move(arrival));
  }

  void on_handshake_failed(const Error& error) override {
    timer_.stop();
    entrance_.log_.warn("connection refused", {{"at", entrance_.options_.name},
                                               {"kind", to_string(error.kind)},
                                               {"reason", error.detail}});
    entrance_.end(*this);
  }

  Entrance& entrance_;
  Timer timer_;
  RecordGate* gate_ = nullptr;
  std::unique_ptr<TlsStream> stream_;
};

Entrance::Entrance(Loop& loop, Log& log, Options options, Arrived arrived)
    : loop_(loop), log_(log), options_(std::move(options)), arrived_(std::move(arrived)) {}

Entrance::~Entrance() = default;

Result<std::unique_ptr<Entrance>> Entrance::open(Loop& loop, Log& log, Options options,
                                                 Arrived arrived) {
  std::unique_ptr<Entrance> made(new Entrance(loop, log, std::move(options), std::move(arrived)));
  auto listener = Listener::listen(loop, made->options_.address,
                                   [entrance = made.get()](std::unique_ptr<ByteStream> stream) {
                                     entrance->accepted(std::move(stream));
                                   });
  if (!listener) return listener.error();
  made->listener_ = std::move(listener).value();
  return made;
}

void Entrance::accepted(std::unique_ptr<ByteStream> stream) {
  if (options_.tls == nullptr) {
    arrived_({.stream = std::move(stream)});
  } else {
    handshakes_.push_back(std::make_unique<Handshake>(*this, std::move(stream)));
  }
}

void Entrance::end(Handshake& handshake) {
  const auto found = std::ranges::find_if(
      handshakes_, [&](const auto& entry) { return entry.get() == &handshake; });
  loop_.retire(std::move(*found));
  handshakes_.erase(found);
}

}  // namespace ptth::dev
