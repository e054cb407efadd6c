#include "agent/link/proxy_dial.h"

#include "agent/link/proxy_tunnel.h"
#include "common/secret_file.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ptth {

namespace {

std::string host_and_port(const std::string& host, uint16_t port) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

DialOptions towards_proxy(const DialOptions& gateway, const ProxyOptions& proxy) {
  DialOptions options = gateway;
  options.host = proxy.host;
  options.port = proxy.port;
  return options;
}

}  // namespace

std::string show_proxy(const ProxyOptions& proxy) {
  return (proxy.tls ? "https://" : "http://") + host_and_port(proxy.host, proxy.port);
}

ProxyDial::ProxyDial(Parameters parameters, Dialer::Listener& listener)
    : parameters_(std::move(parameters)),
      loop_(parameters_.loop),
      listener_(listener),
      began_ms_(loop_.now_ms()),
      deadline_(loop_, [this] {
        fail({ErrorKind::kTimeout, Side::kGateway,
              "the proxy " + show_proxy(parameters_.proxy) + " did not open a tunnel in time",
              true});
      }) {
  dialer_ = std::make_unique<Dialer>(loop_, parameters_.network,
                                     towards_proxy(parameters_.gateway, parameters_.proxy),
                                     static_cast<Dialer::Listener&>(*this));
}

ProxyDial::~ProxyDial() = default;

bool ProxyDial::resolving() const {
  return dialer_ != nullptr && dialer_->resolving();
}

void ProxyDial::cancel() {
  silent_ = true;
  deadline_.stop();
  if (dialer_) dialer_->cancel();
  if (securing_) securing_->set_listener(nullptr);
  if (tunnel_) tunnel_->set_listener(nullptr);
}

void ProxyDial::on_resolved() {
  if (!silent_) listener_.on_resolved();
}

void ProxyDial::on_dialed(std::unique_ptr<ByteStream> stream, const Address& address) {
  if (silent_) {
    loop_.retire(std::move(stream));
    return;
  }
  address_ = address;
  loop_.retire(std::move(dialer_));
  const auto spent = Milliseconds(loop_.now_ms() - began_ms_);
  deadline_.start(std::max(parameters_.gateway.deadline - spent, Milliseconds(1)));
  if (parameters_.proxy.tls) {
    secure(std::move(stream));
  } else {
    open_tunnel(std::move(stream));
  }
}

void ProxyDial::secure(std::unique_ptr<ByteStream> stream) {
  TlsOptions options;
  options.ca_file = parameters_.proxy.ca_file;
  // Proxies are older than gateways, and what they carry is encrypted once more.
  options.min_version = TlsVersion::kTls12;
  auto context = parameters_.tls_contexts.for_client(options);
  if (!context) {
    loop_.retire(std::move(stream));
    fail(context.error());
    return;
  }
  tls_context_ = std::move(context).value();
  TlsStream::Parameters tls;
  tls.server_name = parameters_.proxy.host;
  securing_ = TlsStream::connect(loop_, *tls_context_, std::move(stream), std::move(tls), *this);
}

void ProxyDial::on_secured() {
  if (!silent_) open_tunnel(std::move(securing_));
}

void ProxyDial::open_tunnel(std::unique_ptr<ByteStream> stream) {
  Result<Secret> secret = credentials();
  if (!secret) {
    loop_.retire(std::move(stream));
    fail(secret.error());
    return;
  }
  const DialOptions& gateway = parameters_.gateway;
  tunnel_ =
      make_proxy_tunnel(loop_, std::move(stream),
                        {show_proxy(parameters_.proxy), host_and_port(gateway.host, gateway.port),
                         std::move(secret).value()},
                        static_cast<Profile::Listener&>(*this));
}

Result<Secret> ProxyDial::credentials() const {
  const ProxyOptions& proxy = parameters_.proxy;
  if (proxy.credentials_file.empty()) return proxy.credentials;
  return read_secret_file(proxy.credentials_file);
}

void ProxyDial::on_reversed(ChannelProtocol) {
  if (silent_) return;
  deadline_.stop();
  listener_.on_dialed(std::move(tunnel_), *address_);
}

void ProxyDial::on_dial_failed(const Error& error) {
  Error failure = error;
  failure.detail = "the proxy " + show_proxy(parameters_.proxy) + ": " + error.detail;
  fail(failure);
}

void ProxyDial::on_handshake_failed(const Error& error) {
  on_dial_failed(error);
}

void ProxyDial::on_not_reversed(const Error& error) {
  fail(error);
}

void ProxyDial::fail(const Error& error) {
  if (silent_) return;
  cancel();
  listener_.on_dial_failed(error);
}

}  // namespace ptth
