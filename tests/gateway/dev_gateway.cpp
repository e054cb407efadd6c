#include "tests/gateway/dev_gateway.h"

#include <utility>

namespace ptth::dev {

namespace {

UserSession::Options user_options(Scheme scheme) {
  UserSession::Options options;
  options.via = "ptth-dev-gateway";
  options.scheme = scheme;
  return options;
}

}  // namespace

DevGateway::DevGateway(Loop& loop, Log& log, Options options)
    : loop_(loop),
      log_(log),
      options_(std::move(options)),
      dispatcher_(loop, log, options_.dispatcher),
      http_(loop, dispatcher_, user_options(Scheme::kHttp)),
      https_(loop, dispatcher_, user_options(Scheme::kHttps)) {}

DevGateway::~DevGateway() = default;

Result<std::unique_ptr<DevGateway>> DevGateway::open(Loop& loop, Log& log, Options options) {
  std::unique_ptr<DevGateway> made(new DevGateway(loop, log, std::move(options)));
  if (auto opened = made->open_contexts(); !opened) return opened.error();
  for (const WorkerEntrance& workers : made->options_.workers) {
    if (auto opened = made->open_workers(workers); !opened) return opened.error();
  }
  for (const std::string& address : made->options_.users) {
    if (auto opened = made->open_users(address, Scheme::kHttp); !opened) return opened.error();
  }
  for (const std::string& address : made->options_.users_tls) {
    if (auto opened = made->open_users(address, Scheme::kHttps); !opened) return opened.error();
  }
  return made;
}

Result<void> DevGateway::open_contexts() {
  if (options_.worker_tls == WorkerTls::kOn && !options_.workers.empty()) {
    auto context = TlsContext::for_server(options_.tls);
    if (!context) return context.error();
    worker_tls_ = std::move(context).value();
  }
  if (!options_.users_tls.empty()) {
    TlsOptions tls = options_.tls;
    tls.peer_certificate = PeerCertificate::kNone;
    tls.min_version = TlsVersion::kTls12;
    auto context = TlsContext::for_server(tls);
    if (!context) return context.error();
    user_tls_ = std::move(context).value();
  }
  return {};
}

Result<void> DevGateway::open_workers(const WorkerEntrance& workers) {
  Entrance::Options options;
  options.name = to_string(workers.profile);
  options.address = workers.address;
  options.tls = worker_tls_.get();
  options.parameters.alpn = workers.alpn;
  options.parameters.peer = Side::kOrigin;
  const WorkerProfile profile = workers.profile;
  return open_entrance(std::move(options), [this, profile](Entrance::Arrival arrival) {
    WorkerSession::Options session = options_.session;
    session.profile = profile;
    session.name = std::move(arrival.common_name);
    dispatcher_.add_worker(std::move(arrival.stream), std::move(session));
  });
}

Result<void> DevGateway::open_users(const std::string& address, Scheme scheme) {
  UserFront& front = scheme == Scheme::kHttps ? https_ : http_;
  Entrance::Options options;
  options.name = to_string(scheme);
  options.address = address;
  if (scheme == Scheme::kHttps) options.tls = user_tls_.get();
  options.parameters.alpn = {"h2", "http/1.1"};
  options.parameters.require_alpn = false;
  return open_entrance(std::move(options),
                       [&front](Entrance::Arrival arrival) { front.add(std::move(arrival)); });
}

Result<void> DevGateway::open_entrance(Entrance::Options options, Entrance::Arrived arrived) {
  auto entrance = Entrance::open(loop_, log_, std::move(options), std::move(arrived));
  if (!entrance) return entrance.error();
  entrances_.push_back(std::move(entrance).value());
  return {};
}

std::vector<Port> DevGateway::ports() const {
  std::vector<Port> ports;
  for (const auto& entrance : entrances_) {
    const Entrance::Options& options = entrance->options();
    ports.push_back({options.name, bound_address(options.address, entrance->port())});
  }
  return ports;
}

void DevGateway::stop(std::function<void()> stopped) {
  stopped_ = std::move(stopped);
  entrances_.clear();
  // Workers go last: requests that wait may still be sent to them.
  for (UserFront* front : {&http_, &https_})
    front->leave(options_.drain_timeout, [this] { front_is_empty(); });
}

void DevGateway::front_is_empty() {
  if (--fronts_left_ == 0) dispatcher_.leave(stopped_);
}

}  // namespace ptth::dev
