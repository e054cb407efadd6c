// Envoy 1.36 and later (protocols.md section 6): the request of its reverse tunnel filter, then the
// connection is kept in a pool of the gateway's until it needs it.

#include "agent/link/envoy_stream.h"
#include "agent/link/profile.h"

#include <utility>

namespace ptth {

namespace {

class EnvoyProfile final : public Profile {
 public:
  EnvoyProfile(HelloSpec spec, HelloCredentials credentials, EnvoyOptions options) {
    hello_.spec = std::move(spec);
    hello_.credentials = std::move(credentials);
    hello_.options = std::move(options);
  }

  [[nodiscard]] std::string_view name() const override { return "envoy"; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return {}; }

  [[nodiscard]] bool requires_alpn() const override { return false; }

  [[nodiscard]] bool may_leave_tls() const override { return true; }

  [[nodiscard]] Assurance assurance() const override { return Assurance::kArranged; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_envoy_stream(loop, std::move(connected), nullptr, hello_, listener);
  }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse_secured(Loop& loop,
                                                            std::unique_ptr<TlsStream> secured,
                                                            RecordGate* gate,
                                                            Listener& listener) const override {
    return make_envoy_stream(loop, std::move(secured), gate, hello_, listener);
  }

  [[nodiscard]] std::unique_ptr<Profile> at(const HttpUri& place) const override {
    HelloSpec spec = hello_.spec;
    spec.uri = place;
    return std::make_unique<EnvoyProfile>(std::move(spec), hello_.credentials, hello_.options);
  }

 private:
  EnvoyHello hello_;
};

}  // namespace

HelloDefaults envoy_hello(const HelloOptions& options) {
  HelloDefaults hello;
  hello.profile = "envoy";
  hello.method = "GET";
  hello.path_template = "/reverse_connections/request";
  hello.channels = {"h2"};
  // Without an upgrade token the request is an ordinary one, and so is its answer.
  hello.status = options.token.empty() ? "200" : "101";
  hello.states_no_body = true;
  return hello;
}

std::unique_ptr<Profile> make_envoy_profile(HelloSpec hello, HelloCredentials credentials,
                                            EnvoyOptions options) {
  std::string begin = options.header_prefix + "-reverse-tunnel-";
  for (char& byte : begin)
    byte = ascii_lower(byte);
  hello.fields.add(begin + "node-id", options.node_id);
  hello.fields.add(begin + "cluster-id", options.cluster_id);
  hello.fields.add(begin + "tenant-id", options.tenant_id);
  if (!options.upstream_cluster.empty()) {
    hello.fields.add(begin + "upstream-cluster-name", options.upstream_cluster);
  }
  return std::make_unique<EnvoyProfile>(std::move(hello), std::move(credentials),
                                        std::move(options));
}

}  // namespace ptth
