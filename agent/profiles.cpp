#include "agent/profiles.h"

#include "agent/link/auth.h"
#include "agent/link/hello_spec.h"
#include "common/http_rules.h"

#include <utility>

namespace ptth {

namespace {

Error wrong(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail), false};
}

// The others have nothing to say, or say it in TLS and HTTP/2.
bool has_request(std::string_view profile) {
  return profile == "ptth" || profile == "reverse" || profile == "envoy" ||
         profile == "ptth-connect" || profile == "reverse-connect";
}

bool needs_tls(std::string_view profile) {
  return profile == "potato" || profile == "h2-reverse";
}

Result<void> check_setting(const GatewayOptions& gateway, const HelloCredentials& credentials) {
  const std::string the_profile = "the profile " + gateway.profile;
  if (!has_request(gateway.profile) && credentials) {
    return wrong(the_profile +
                 " has no hello that could carry a token, a password or a header: use a client "
                 "certificate (--cert-file), or drop them");
  }
  if (needs_tls(gateway.profile) && !gateway.tls) {
    return wrong(the_profile + " is agreed in the TLS handshake: dial https://");
  }
  if (gateway.profile == "h2-reverse" && !gateway.tls_options.has_certificate()) {
    return wrong(the_profile + " shows who we are by a certificate: give --cert-file");
  }
  const bool by_alpn = gateway.profile == "direct" || gateway.profile == "potato";
  if (!gateway.http1_alpn.empty() && (!by_alpn || !gateway.tls)) {
    return wrong("--http1-alpn is for the profiles direct and potato, over TLS" +
                 std::string(has_request(gateway.profile)
                                 ? "; here, offer http/1.1 with --hello-channel"
                                 : ""));
  }
  if (!gateway.alpn.empty() && !gateway.revisions.empty()) {
    return wrong("--revision and --alpn both choose the ALPN ids: keep one");
  }
  return {};
}

Result<HelloSpec> hello_of(const GatewayOptions& gateway, const HelloDefaults& defaults,
                           const ServedAuthorities& served) {
  const HelloPlace place{gateway.host, gateway.port, gateway.tls ? Scheme::kHttps : Scheme::kHttp,
                         gateway.server_name};
  return make_hello_spec(defaults, gateway.hello, place, served);
}

Result<std::unique_ptr<Profile>> make_h2_reverse(const GatewayOptions& gateway,
                                                 const ServedAuthorities& served) {
  const ServedAuthorities& own = gateway.hello.origins;
  auto origins =
      serialize_origins((own.matches_all() ? served : own).origins(), Wildcards::kAllowed);
  if (!origins) {
    return wrong(origins.error().detail + ": --serve https://app.example, or --hello-origin");
  }
  return make_h2_reverse_profile(std::move(origins).value());
}

}  // namespace

Result<std::unique_ptr<Profile>> make_profile(const GatewayOptions& gateway,
                                              const ServedAuthorities& served) {
  Result<HelloCredentials> credentials = make_hello_credentials(gateway.auth);
  if (!credentials) return credentials.error();
  using MakeWithHello = std::unique_ptr<Profile> (*)(HelloSpec, HelloCredentials);
  const auto with_hello = [&](const HelloDefaults& defaults,
                              MakeWithHello make) -> Result<std::unique_ptr<Profile>> {
    auto hello = hello_of(gateway, defaults, served);
    if (!hello) return hello.error();
    return make(std::move(hello).value(), std::move(credentials).value());
  };
  if (const auto checked = check_setting(gateway, credentials.value()); !checked) {
    return checked.error();
  }
  if (gateway.profile == "haproxy") return make_haproxy_profile();
  if (gateway.profile == "direct") return make_direct_profile();
  if (gateway.profile == "potato") return make_potato_profile(gateway.revisions);
  if (gateway.profile == "h2-reverse") return make_h2_reverse(gateway, served);
  if (gateway.profile == "ptth") return with_hello(ptth_hello(), make_ptth_profile);
  if (gateway.profile == "reverse") return with_hello(reverse_hello(), make_reverse_profile);
  for (const HelloDefaults& defaults : {ptth_connect_hello(), reverse_connect_hello()}) {
    if (gateway.profile != defaults.profile) continue;
    auto hello = hello_of(gateway, defaults, served);
    if (!hello) return hello.error();
    return make_connect_profile(defaults.profile, std::move(hello).value(),
                                std::move(credentials).value(),
                                {gateway.tunnel_window_bytes, gateway.session});
  }
  if (gateway.profile == "envoy") {
    if (const auto checked = check_envoy_options(gateway.envoy); !checked) return checked.error();
    auto hello = hello_of(gateway, envoy_hello(gateway.hello), served);
    if (!hello) return hello.error();
    return make_envoy_profile(std::move(hello).value(), std::move(credentials).value(),
                              gateway.envoy);
  }
  return wrong("no such profile: " + gateway.profile);
}

}  // namespace ptth
