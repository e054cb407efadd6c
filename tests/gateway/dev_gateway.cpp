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
      https_(loop, dispatcher_, user_options(Scheme::kHttps)),
      reserve_(loop, log, *this) {
  dispatcher_.on_starved([this](size_t waiting) { on_starved(waiting); });
}

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
  const bool has_envoy = std::ranges::any_of(options_.workers, [](const WorkerEntrance& workers) {
    return workers.profile == WorkerProfile::kEnvoy;
  });
  if (has_envoy && options_.inner_tls == InnerTls::kOn) {
    auto context = TlsContext::for_client(options_.tls);
    if (!context) return context.error();
    inner_tls_ = std::move(context).value();
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
  const auto http1_at = options_.hello.preferred == Channel::kHttp1
                            ? options.parameters.alpn.begin()
                            : options.parameters.alpn.end();
  options.parameters.alpn.insert(http1_at, workers.http1_alpn.begin(), workers.http1_alpn.end());
  options.parameters.peer = Side::kOrigin;
  options.exporter_label = kExporterLabel;
  const bool has_hello = asks_by_request(workers.profile);
  // A hello of HTTP/1.1 needs no ALPN.
  options.parameters.require_alpn = !has_hello;
  if (workers.profile == WorkerProfile::kEnvoy) options.leaves_tls = Entrance::LeavesTls::kYes;
  return open_entrance(std::move(options), [this, &workers, has_hello](Entrance::Arrival arrival) {
    if (has_hello) {
      hear_hello(workers.profile, std::move(arrival));
    } else if (asks_by_connect(workers.profile)) {
      hear_channels(workers.profile, std::move(arrival));
    } else {
      add_worker({workers.profile, channel_of(workers, arrival.alpn), arrival.common_name,
                  arrival.exporter},
                 std::move(arrival.stream));
    }
  });
}

Channel DevGateway::channel_of(const WorkerEntrance& workers, std::string_view alpn) const {
  // Without TLS nothing was agreed on.
  if (options_.worker_tls == WorkerTls::kOff) return options_.hello.preferred;
  const auto& ids = workers.http1_alpn;
  return std::ranges::find(ids, alpn) == ids.end() ? Channel::kHttp2 : Channel::kHttp1;
}

void DevGateway::add_worker(const Newcomer& worker, std::unique_ptr<ByteStream> stream) {
  WorkerSession::Options session = options_.session;
  session.profile = worker.profile;
  session.channel = worker.channel;
  session.name = worker.name;
  session.exporter = worker.exporter;
  session.origins = options_.hello.origins;
  dispatcher_.add_worker(std::move(stream), std::move(session));
}

void DevGateway::hear_hello(WorkerProfile profile, Entrance::Arrival arrival) {
  WorkerHello::Options hello;
  hello.rules = options_.hello;
  hello.rules.profile = profile;
  hello.name = std::move(arrival.common_name);
  hello.exporter = std::move(arrival.exporter);
  hello.gate = arrival.gate;
  if (options_.worker_tls == WorkerTls::kOff) hello.scheme = Scheme::kHttp;
  hello.fault_status = next_hello_fault();
  hellos_.push_back(std::make_unique<WorkerHello>(loop_, std::move(arrival.stream),
                                                  std::move(hello),
                                                  static_cast<WorkerHello::Listener&>(*this)));
}

std::optional<int> DevGateway::next_hello_fault() {
  ++hellos_heard_;
  const auto& fault = options_.dispatcher.faults.hello_status;
  if (!fault || !fault->hits(hellos_heard_)) return std::nullopt;
  return static_cast<int>(fault->value);
}

void DevGateway::hear_channels(WorkerProfile profile, Entrance::Arrival arrival) {
  OuterSession::Options outer;
  outer.rules = options_.hello;
  outer.rules.profile = profile;
  outer.name = std::move(arrival.common_name);
  outer.exporter = std::move(arrival.exporter);
  outer.channels_max = options_.channels_max;
  outers_.push_back(std::make_unique<OuterSession>(loop_, std::move(arrival.stream),
                                                   std::move(outer),
                                                   static_cast<OuterSession::Listener&>(*this)));
}

void DevGateway::on_channel_opened(OuterSession& outer, const HelloVerdict& verdict,
                                   std::unique_ptr<ByteStream> stream) {
  const OuterSession::Options& options = outer.options();
  const std::string& name = verdict.worker.empty() ? options.name : verdict.worker;
  add_worker({options.rules.profile, verdict.channel, name, options.exporter}, std::move(stream));
}

void DevGateway::on_channel_refused(OuterSession& outer, const HelloVerdict& verdict) {
  tell_refused(outer.options().rules, outer.options().name, verdict);
}

void DevGateway::on_outer_ended(OuterSession& outer) {
  const auto found =
      std::ranges::find_if(outers_, [&](const auto& one) { return one.get() == &outer; });
  CHECK_INVARIANT(found != outers_.end());
  loop_.retire(std::move(*found));
  outers_.erase(found);
  if (outers_leave_ && outers_.empty()) loop_.post(stopped_);
}

void DevGateway::on_hello_accepted(WorkerHello& hello, const HelloVerdict& verdict,
                                   std::unique_ptr<ByteStream> stream) {
  const HelloRules rules = hello.options().rules;
  RecordGate* const gate = hello.options().gate;
  UnusedWorker::Options unused = options_.unused;
  unused.profile = rules.profile;
  unused.certificate = hello.options().name;
  unused.name = verdict.worker.empty() ? unused.certificate : verdict.worker;
  unused.exporter = hello.options().exporter;
  unused.inner_tls = inner_tls_.get();
  retire(hello);
  if (!waits_unused(rules.profile)) {
    add_worker({rules.profile, verdict.channel, unused.name, unused.exporter}, std::move(stream));
    return;
  }
  if (rules.profile == WorkerProfile::kEnvoy) {
    reserve_.add_envoy(std::move(stream), gate, std::move(unused));
  } else {
    reserve_.add_poll(std::move(stream), hello_answer(rules, verdict), std::move(unused));
  }
  dispatcher_.try_waiting();
}

void DevGateway::on_reserve_usable(const UnusedWorker::Options& worker,
                                   std::unique_ptr<ByteStream> stream) {
  const bool is_envoy = worker.profile == WorkerProfile::kEnvoy;
  // Behind Envoy's hello there is another TLS connection, or none.
  const std::string exporter = is_envoy ? std::string() : worker.exporter;
  add_worker({worker.profile, is_envoy ? Channel::kHttp2 : Channel::kHttp1, worker.name, exporter},
             std::move(stream));
}

void DevGateway::on_reserve_lapsed(const UnusedWorker::Options& worker,
                                   std::unique_ptr<ByteStream> stream) {
  Entrance::Arrival arrival;
  arrival.stream = std::move(stream);
  arrival.common_name = worker.certificate;
  arrival.exporter = worker.exporter;
  hear_hello(worker.profile, std::move(arrival));
}

void DevGateway::on_reserve_lost() {
  dispatcher_.try_waiting();
}

// One worker for each request that waits, as nobody knows how much it will take.
void DevGateway::on_starved(size_t waiting) {
  size_t coming = reserve_.coming() + dispatcher_.workers_coming();
  while (coming < waiting && reserve_.use_one())
    ++coming;
}

void DevGateway::on_hello_refused(WorkerHello& hello, const HelloVerdict& verdict) {
  tell_refused(hello.options().rules, hello.options().name, verdict);
}

void DevGateway::tell_refused(const HelloRules& rules, const std::string& name,
                              const HelloVerdict& verdict) {
  log_.warn("hello refused", {{"at", to_string(rules.profile)},
                              {"worker", name},
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
  // Called from the loop, so none of these is in a callback; nobody hears of them any more.
  hellos_.clear();
  reserve_.close();
  for (const auto& outer : outers_)
    outer->refuse_hellos();
  // Workers go last: requests that wait may still be sent to them.
  for (UserFront* front : {&http_, &https_})
    front->leave(options_.drain_timeout, [this] { front_is_empty(); });
}

void DevGateway::front_is_empty() {
  if (--fronts_left_ == 0) {
    dispatcher_.leave([this] { loop_.post([this] { leave_outers(); }); });
  }
}

void DevGateway::leave_outers() {
  outers_leave_ = true;
  for (const auto& outer : outers_)
    outer->leave();
  if (outers_.empty()) stopped_();
}

}  // namespace ptth::dev
