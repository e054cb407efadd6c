#include "agent/profiles.h"

#include "agent/link/auth.h"
#include "agent/link/hello_spec.h"
#include "common/http_rules.h"

#include <utility>

namespace ptth {

namespace {

Result<HelloSpec> hello_of(const GatewayOptions& gateway, const HelloDefaults& defaults,
                           const ServedAuthorities& served) {
  const HelloPlace place{gateway.host, gateway.port, gateway.tls ? Scheme::kHttps : Scheme::kHttp,
                         gateway.server_name};
  return make_hello_spec(defaults, gateway.hello, place, served);
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
  const bool has_hello = gateway.profile != "haproxy" && gateway.profile != "direct";
  if (!has_hello && credentials.value()) {
    return Error{ErrorKind::kConfiguration, Side::kLocal,
                 "the profile " + gateway.profile +
                     " has no hello that could carry a token, a password or a header: use a client "
                     "certificate (--cert-file), or drop them",
                 false};
  }
  if (gateway.profile == "haproxy") return make_haproxy_profile();
  if (gateway.profile == "direct") return make_direct_profile();
  if (gateway.profile == "ptth") return with_hello(ptth_hello(), make_ptth_profile);
  if (gateway.profile == "reverse") return with_hello(reverse_hello(), make_reverse_profile);
  return Error{ErrorKind::kConfiguration, Side::kLocal, "no such profile: " + gateway.profile,
               false};
}

}  // namespace ptth
