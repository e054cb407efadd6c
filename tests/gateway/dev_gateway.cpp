#include "tests/gateway/dev_gateway.h"

#include <algorithm>
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
  const bool has_hello = asks_by_request(profile);
  // A hello is HTTP/1.1, which needs no ALPN.
  options.parameters.require_alpn = !has_hello;
  return open_entrance(std::move(options), [this, profile, has_hello](Entrance::Arrival arrival) {
    if (has_hello) {
      hear_hello(profile, std::move(arrival));
    } else {
      add_worker(profile, std::move(arrival));
    }
  });
}

void DevGateway::add_worker(WorkerProfile profile, Entrance::Arrival arrival) {
  WorkerSession::Options session = options_.session;
  session.profile = profile;
  session.name = std::move(arrival.common_name);
  session.origins_allowed = options_.hello.origins;
  dispatcher_.add_worker(std::move(arrival.stream), std::move(session));
}

void DevGateway::hear_hello(WorkerProfile profile, Entrance::Arrival arrival) {
  WorkerHello::Options hello;
  hello.rules = options_.hello;
  hello.rules.profile = profile;
  hello.name = std::move(arrival.common_name);
  if (options_.worker_tls == WorkerTls::kOff) hello.scheme = Scheme::kHttp;
  ++hellos_heard_;
  const auto& fault = options_.dispatcher.faults.hello_status;
  if (fault && fault->hits(hellos_heard_)) hello.fault_status = static_cast<int>(fault->value);
  hellos_.push_back(std::make_unique<WorkerHello>(loop_, std::move(arrival.stream),
                                                  std::move(hello),
                                                  static_cast<WorkerHello::Listener&>(*this)));
}

void DevGateway::on_hello_accepted(WorkerHello& hello, std::unique_ptr<ByteStream> stream) {
  Entrance::Arrival arrival;
  arrival.stream = std::move(stream);
  arrival.common_name = hello.options().name;
  const WorkerProfile profile = hello.options().rules.profile;
  retire(hello);
  add_worker(profile, std::move(arrival));
}

void DevGateway::on_hello_refused(WorkerHello& hello, const HelloVerdict& verdict) {
  log_.warn("hello refused", {{"at", to_string(hello.options().rules.profile)},
                              {"worker", hello.options().name},
                              {"status", int64_t{verdict.status}},
                              {"reason", verdict.text}});
}

void DevGateway::on_hello_ended(WorkerHello& hello) {
  retire(hello);
}

void DevGateway::retire(WorkerHello& hello) {
  const auto found = std::find_if(hellos_.begin(), hellos_.end(),
                                  [&](const auto& one) { return one.get() == &hello; });
  CHECK_INVARIANT(found != hellos_.end());
  loop_.retire(std::move(*found));
  hellos_.erase(found);
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
  for (auto& hello : hellos_)
    loop_.retire(std::move(hello));
  hellos_.clear();
  // Workers go last: requests that wait may still be sent to them.
  for (UserFront* front : {&http_, &https_})
    front->leave(options_.drain_timeout, [this] { front_is_empty(); });
}

void DevGateway::front_is_empty() {
  if (--fronts_left_ == 0) dispatcher_.leave(stopped_);
}

}  // namespace ptth::dev
