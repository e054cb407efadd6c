#include "agent/link/connection.h"

#include "agent/link/challenge_answer.h"
#include "agent/link/challenge_origin.h"
#include "agent/link/magic_stream.h"
#include "agent/link/tunnel_pool.h"
#include "agent/link/worker_document_origin.h"
#include "agent/relay/http1_session.h"
#include "agent/relay/http2_session.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// The kernel gives up on unacknowledged bytes shortly before the session's PING would: whichever
// sees the dead path first.
constexpr Milliseconds kUserTimeoutMargin{500};

DialOptions dial_options(const GatewayOptions& gateway, const Detour* detour, uint32_t index) {
  DialOptions options;
  options.host = detour == nullptr ? gateway.host : detour->host;
  options.port = detour == nullptr ? gateway.port : detour->port;
  if (detour == nullptr) options.address_hints = gateway.address_hints;
  options.index = index;
  options.race_delay = gateway.address_race_delay;
  options.deadline = gateway.connect_timeout;
  options.connect.peer = Side::kGateway;
  options.connect.source_address = gateway.source_address;
  const Milliseconds budget = gateway.session.ping_after + gateway.session.ping_timeout;
  // For sessions that have no PING: an idle connection of HTTP/1.1.
  options.connect.keepalive_after = gateway.session.ping_after;
  options.connect.user_timeout = std::max(budget - kUserTimeoutMargin, kUserTimeoutMargin);
  return options;
}

bool contains(const std::vector<std::string>& ids, std::string_view id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Connection::Connection(Parameters parameters, Connection::Listener& listener)
    : parameters_(std::move(parameters)),
      loop_(parameters_.around.loop),
      listener_(listener),
      step_(LinkState::kResolving),
      began_ms_(loop_.now_ms()),
      deadline_(loop_, [this] { on_deadline(); }) {
  trial_.offer = parameters_.detour ? ProfileOffer(*parameters_.detour->profile)
                                    : std::move(parameters_.offer);
  const auto& offered = trial_.offer.profiles();
  if (offered.size() == 1) trial_.agreed = offered.front();
  if (parameters_.around.tunnels != nullptr && !parameters_.detour) {
    borrow();
  } else {
    dial();
  }
}

Connection::~Connection() = default;

// What carries the channel is there, or dials for us and others.
void Connection::borrow() {
  is_lent_ = true;
  step_ = LinkState::kConnecting;
  stream_ = profile().reverse_lent(loop_, parameters_.around.tunnels->lend(), *this);
}

void Connection::dial() {
  const GatewayOptions& gateway = parameters_.gateway;
  const Link::Surroundings& around = parameters_.around;
  const DialOptions options = dial_options(gateway, parameters_.detour.get(), parameters_.index);
  auto& listener = static_cast<Dialer::Listener&>(*this);
  if (gateway.proxy.mode == ProxyOptions::Mode::kGiven) {
    proxy_dial_ = std::make_unique<ProxyDial>(
        ProxyDial::Parameters{loop_, around.network, around.tls_contexts, gateway.proxy, options},
        listener);
    if (!proxy_dial_->resolving()) step_ = LinkState::kConnecting;
  } else {
    dialer_ = std::make_unique<Dialer>(loop_, around.network, options, listener);
    if (!dialer_->resolving()) step_ = LinkState::kConnecting;
  }
}

void Connection::drain() {
  session_->drain();
}

void Connection::abort() {
  session_->abort();
}

void Connection::set_capacity(uint32_t capacity) {
  parameters_.capacity = capacity;
  if (session_) session_->set_capacity(capacity);
}

void Connection::silence() {
  silent_ = true;
  deadline_.stop();
  if (dialer_) dialer_->cancel();
  if (proxy_dial_) proxy_dial_->cancel();
  if (securing_) securing_->set_listener(nullptr);
  if (stream_) stream_->set_listener(nullptr);
}

size_t Connection::exchanges_in_flight() const {
  return session_ ? session_->exchanges_in_flight() : 0;
}

uint64_t Connection::exchanges_answered() const {
  return session_ ? session_->exchanges_answered() : 0;
}

Milliseconds Connection::attached_for() const {
  return step_ == LinkState::kAttached ? Milliseconds(loop_.now_ms() - attached_ms_)
                                       : Milliseconds(0);
}

Milliseconds Connection::age() const {
  return Milliseconds(loop_.now_ms() - began_ms_);
}

Milliseconds Connection::carrier_age() const {
  return age() + carrier_head_start_;
}

void Connection::on_resolved() {
  if (!silent_) move_to(LinkState::kConnecting);
}

void Connection::on_dialed(std::unique_ptr<ByteStream> stream, const Address& address) {
  if (silent_) {
    loop_.retire(std::move(stream));
    return;
  }
  address_ = address.text();
  if (proxy_dial_) address_ = "proxy " + address_;
  if (dialer_) loop_.retire(std::move(dialer_));
  if (parameters_.gateway.tls) {
    secure(std::move(stream));
  } else {
    reverse(std::move(stream));
  }
}

void Connection::on_dial_failed(const Error& error) {
  end(error);
}

void Connection::secure(std::unique_ptr<ByteStream> stream) {
  move_to(LinkState::kSecuring);
  if (silent_) {
    loop_.retire(std::move(stream));
    return;
  }
  // Asked for each time, so that renewed files are picked up.
  auto context = parameters_.around.tls_contexts.for_client(parameters_.gateway.tls_options);
  if (!context) {
    loop_.retire(std::move(stream));
    end(context.error());
    return;
  }
  tls_context_ = std::move(context).value();
  const GatewayOptions& gateway = parameters_.gateway;
  TlsStream::Parameters tls;
  tls.server_name = tls_name();
  tls.alpn = gateway.alpn.empty() ? trial_.offer.default_alpn() : gateway.alpn;
  for (const std::string& id : http1_alpn()) {
    if (!contains(tls.alpn, id)) tls.alpn.push_back(id);
  }
  tls.require_alpn = trial_.offer.requires_alpn();
  tls.require_certificate_request = trial_.offer.requires_certificate_request();
  if (trial_.offer.may_leave_tls()) {
    auto gate = std::make_unique<RecordGate>(loop_, std::move(stream));
    gate_ = gate.get();
    stream = std::move(gate);
  }
  securing_ = TlsStream::connect(loop_, *tls_context_, std::move(stream), std::move(tls), *this);
  deadline_.start(gateway.connect_timeout - age());
}

void Connection::on_secured() {
  if (silent_) return;
  tls_version_ = securing_->tls_version();
  if (parameters_.gateway.challenge.enabled()) {
    exporter_ = securing_->exporter_value(kChallengeExporterLabel);
  }
  if (!agree()) return;
  deadline_.start(parameters_.gateway.hello_timeout);
  if (contains(http1_alpn(), securing_->alpn())) {
    stream_ = make_http1_stream(loop_, std::move(securing_), *this);
  } else {
    stream_ = profile().reverse_secured(loop_, std::move(securing_), gate_, *this);
  }
  move_to(LinkState::kReversing);
}

// The gateway's ALPN id says which profile it means, if several were offered.
bool Connection::agree() {
  const bool was_asked = securing_->asked_for_certificate();
  trial_.showed_certificate = was_asked && parameters_.gateway.tls_options.has_certificate();
  trial_.agreed = trial_.offer.agreed(securing_->alpn());
  if (trial_.agreed == nullptr) {
    end({ErrorKind::kProtocol, Side::kGateway,
         "the gateway agreed on no application protocol (ALPN) of " + trial_.offer.names(), true});
    return false;
  }
  if (profile().requires_certificate_request() && !was_asked) {
    end({ErrorKind::kProtocol, Side::kGateway,
         "the gateway chose " + std::string(profile().name()) +
             " and did not ask for our certificate, so it cannot know who we are",
         true});
    return false;
  }
  return true;
}

void Connection::on_handshake_failed(const Error& error) {
  end(error);
}

void Connection::reverse(std::unique_ptr<ByteStream> stream) {
  // Without TLS there is no ALPN that could tell several apart.
  trial_.agreed = trial_.offer.profiles().front();
  deadline_.start(parameters_.gateway.hello_timeout);
  stream_ = profile().reverse(loop_, std::move(stream), *this);
  move_to(LinkState::kReversing);
}

void Connection::on_reversed(ChannelProtocol channel) {
  if (silent_) return;
  channel_ = channel;
  const Link::Surroundings& around = parameters_.around;
  SessionOptions options;
  options.limits = parameters_.gateway.session;
  options.gateway = parameters_.gateway.name;
  options.link_id = parameters_.link_id;
  options.capacity = parameters_.capacity;
  options.refusal = parameters_.gateway.refusal;
  options.rules = parameters_.gateway.rules;
  options.drain_style = profile().drain_style();
  options.capacity_in_second_settings = profile().capacity_in_second_settings();
  options.origin_frame = profile().announced_origins();
  options.scheme = parameters_.gateway.tls ? Scheme::kHttps : Scheme::kHttp;
  const auto start = channel == ChannelProtocol::kHttp2 ? start_http2_session : start_http1_session;
  challenge_ = make_challenge();
  Origin& behind_document = challenge_ ? *challenge_ : around.origin;
  worker_document_ = make_worker_document(behind_document);
  Origin& origin = worker_document_ ? *worker_document_ : behind_document;
  session_ = start(
      {loop_, *stream_, origin, around.log, around.relay_metrics, around.budget, around.turn_share},
      std::move(options), *this);
  if (step_ == LinkState::kAttached) return;
  deadline_.start(parameters_.gateway.session.settings_timeout);
  move_to(LinkState::kAttaching);
}

std::unique_ptr<Origin> Connection::make_challenge() const {
  const GatewayOptions& gateway = parameters_.gateway;
  // The check of the configuration says so, too: an answer is for whom TLS has verified.
  if (!gateway.challenge.enabled() || !gateway.tls) return nullptr;
  const Link::Surroundings& around = parameters_.around;
  ChallengeParameters challenge;
  challenge.gateway = gateway.name;
  challenge.link_id = parameters_.link_id;
  challenge.worker = gateway.rules.worker_id;
  challenge.host = tls_name();
  challenge.port = parameters_.detour ? parameters_.detour->port : gateway.port;
  challenge.exporter = exporter_;
  return make_challenge_origin({loop_, around.origin, around.log, around.metrics},
                               gateway.challenge, std::move(challenge));
}

// TLS has verified the gateway, and whoever speaks now has that TLS session, or one that it has
// begun since with a certificate that was verified, too.
bool Connection::has_verified_gateway() const {
  const GatewayOptions& gateway = parameters_.gateway;
  return gateway.tls && !(profile().may_leave_tls() && gateway.envoy.insecure_handover);
}

std::unique_ptr<Origin> Connection::make_worker_document(Origin& inner) const {
  const GatewayOptions& gateway = parameters_.gateway;
  const Link::Surroundings& around = parameters_.around;
  const bool is_there = !gateway.worker_document.path.empty() && around.worker_facts;
  if (!is_there || !has_verified_gateway()) return nullptr;
  WorkerDocumentParameters document;
  document.gateway = gateway.name;
  document.host = tls_name();
  document.port = parameters_.detour ? parameters_.detour->port : gateway.port;
  document.facts = around.worker_facts;
  return make_worker_document_origin({loop_, inner, around.metrics}, gateway.worker_document,
                                     std::move(document));
}

// What the gateway can use at any time is attached, though its session has not begun.
void Connection::on_held(ChannelProtocol channel) {
  if (silent_) return;
  channel_ = channel;
  deadline_.stop();
  attached_ms_ = loop_.now_ms();
  move_to(LinkState::kAttached);
}

void Connection::on_not_reversed(const Error& error) {
  end(error);
}

void Connection::on_hello_progress() {
  if (!silent_ && step_ == LinkState::kReversing)
    deadline_.start(parameters_.gateway.hello_timeout);
}

void Connection::on_carried(const Carrier& carrier) {
  if (silent_) return;
  address_ = carrier.address;
  tls_version_ = carrier.tls_version;
  exporter_ = carrier.exporter;
  carrier_head_start_ = std::max(carrier.age - age(), Milliseconds(0));
  deadline_.start(parameters_.gateway.hello_timeout);
  move_to(LinkState::kReversing);
}

void Connection::on_replacement_wanted() {
  if (silent_) return;
  replacement_wanted_ = true;
  if (step_ == LinkState::kAttached) listener_.on_connection_replacement_wanted(*this);
}

void Connection::on_redirected(const Redirect* redirect) {
  if (silent_) return;
  is_moved_ = redirect != nullptr;
  std::unique_ptr<Detour> detour =
      is_moved_ ? make_detour(*redirect) : std::move(parameters_.detour);
  silence();
  listener_.on_connection_redirected(*this, std::move(detour));
}

std::vector<std::string> Connection::http1_alpn() const {
  const GatewayOptions& gateway = parameters_.gateway;
  const bool is_configured = !gateway.alpn.empty() || !gateway.http1_alpn.empty();
  return is_configured ? gateway.http1_alpn : trial_.offer.http1_alpn();
}

std::string Connection::tls_name() const {
  const GatewayOptions& gateway = parameters_.gateway;
  if (parameters_.detour) return parameters_.detour->server_name;
  return gateway.server_name.empty() ? gateway.host : gateway.server_name;
}

// A name that we know already is found where it was: it may have been configured together with an
// address.
std::unique_ptr<Detour> Connection::make_detour(const Redirect& redirect) const {
  const DialOptions now = dial_options(parameters_.gateway, parameters_.detour.get(), 0);
  auto detour = std::make_unique<Detour>();
  detour->profile = profile().at(redirect.uri);
  CHECK_INVARIANT(detour->profile != nullptr);
  std::string host = redirect.uri.authority.host;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  const bool same_name = host == tls_name() || redirect.same_place;
  detour->host = same_name ? now.host : host;
  detour->server_name = same_name ? tls_name() : host;
  detour->port = redirect.same_place ? now.port : redirect.uri.port();
  return detour;
}

void Connection::on_session_attached() {
  if (silent_ || step_ == LinkState::kAttached) return;
  deadline_.stop();
  attached_ms_ = loop_.now_ms();
  move_to(LinkState::kAttached);
  if (!silent_ && replacement_wanted_) listener_.on_connection_replacement_wanted(*this);
}

void Connection::on_session_leaving() {
  if (!silent_ && step_ == LinkState::kAttached) listener_.on_connection_leaving(*this);
}

void Connection::on_session_load_changed() {
  if (!silent_) listener_.on_connection_load_changed(*this);
}

void Connection::on_session_ended(const Error& error) {
  end(error);
}

void Connection::on_deadline() {
  std::string detail;
  if (step_ == LinkState::kSecuring) {
    detail = "TLS with " + address_ + " was not established in time (is this a TLS port?)";
  } else if (step_ == LinkState::kReversing) {
    detail = "the hello with " + address_ +
             " was not over in time (does the gateway reverse connections on this port, with this "
             "profile?)";
  } else {
    detail = "no HTTP/2 from " + address_ +
             " in time (does the gateway reverse connections on this port, with this profile?)";
  }
  end({ErrorKind::kTimeout, Side::kGateway, detail, true});
}

void Connection::move_to(LinkState step) {
  step_ = step;
  trial_.step = step;
  listener_.on_connection_step(*this, step);
}

void Connection::end(Error error) {
  if (silent_) return;
  judge(error);
  silence();
  listener_.on_connection_ended(*this, error);
}

// In TLS 1.3 a client learns only with its first read that its certificate was not accepted, and
// some gateways (HAProxy) then just close.
void Connection::judge(Error& error) {
  const bool before_attached = step_ == LinkState::kReversing || step_ == LinkState::kAttaching;
  if (!before_attached || error.kind != ErrorKind::kClosed || !parameters_.gateway.tls) return;
  if (is_lent_) return;  // The gateway has spoken since.
  const std::string& certificate = parameters_.gateway.tls_options.identity_file();
  if (certificate.empty()) {
    error.detail += " right after TLS (it may require a client certificate: --cert-file)";
    return;
  }
  trial_.probably_refused = true;
  error.detail += " right after TLS: it probably does not accept the certificate in " + certificate;
}

}  // namespace ptth
