#include "agent/profiles.h"

#include "agent/link/auth.h"
#include "agent/link/challenge_answer.h"
#include "agent/link/hello_spec.h"
#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ptth {

namespace {

// What auto tries unless the configuration says otherwise: what is most certain first, and of the
// forms of one draft the efficient one. Not ptth-1.0, whose hello is a POST: who is no such gateway
// might do something with it.
constexpr std::array<std::string_view, 7> kAutoOrder{
    "h2-reverse", "potato", "ptth", "ptth-connect", "reverse", "reverse-connect", "haproxy"};

Error wrong(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail), false};
}

bool asks_by_connect(std::string_view profile) {
  return profile == "ptth-connect" || profile == "reverse-connect";
}

// The others have nothing to say, or say it in TLS and HTTP/2.
bool has_request(std::string_view profile) {
  return profile == "ptth" || profile == "reverse" || profile == "envoy" || profile == "ptth-1.0" ||
         asks_by_connect(profile);
}

bool needs_tls(std::string_view profile) {
  return profile == "potato" || profile == "h2-reverse";
}

Result<void> check_challenge(const GatewayOptions& gateway) {
  if (auto checked = check_challenge_options(gateway.challenge); !checked) return checked;
  if (!gateway.challenge.enabled()) return {};
  if (!gateway.tls) {
    return wrong("a challenge is answered only to a gateway that TLS has verified: dial https://");
  }
  if (gateway.profile == "envoy") {
    return wrong(
        "an Envoy leaves TLS behind its hello, so a challenge behind it could be anyone's: use "
        "--token-file, or drop the --challenge settings");
  }
  return {};
}

Result<void> check_paths(const GatewayOptions& gateway) {
  if (gateway.challenge.enabled() && gateway.challenge.path == gateway.worker_document.path) {
    return wrong(
        "--challenge-path and --worker-document-path are the same: a request for it can have only "
        "one answer");
  }
  return {};
}

Result<void> check_setting(const GatewayOptions& gateway, const HelloCredentials& credentials) {
  const std::string the_profile = "the profile " + gateway.profile;
  if (!has_request(gateway.profile) && credentials) {
    return wrong(the_profile +
                 " has no hello that could carry a token, a password or a header: use a client "
                 "certificate (--cert-file), or --challenge-token-file where the gateway asks for "
                 "it afterwards");
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
  const auto is_http1 = [](const std::string& id) { return id == "http/1.1"; };
  const auto& channels = gateway.hello.channels;
  if (gateway.profile == "ptth-1.0" && !std::all_of(channels.begin(), channels.end(), is_http1)) {
    return wrong(the_profile + " speaks HTTP/1.1 behind the hello: drop --hello-channel");
  }
  if (gateway.channels_per_connection > 1 && !asks_by_connect(gateway.profile)) {
    return wrong(the_profile +
                 " has a connection for each channel: --channels-per-connection is for "
                 "ptth-connect and reverse-connect");
  }
  if (!gateway.alpn.empty() && !gateway.revisions.empty()) {
    return wrong("--revision and --alpn both choose the ALPN ids: keep one");
  }
  if (auto checked = check_paths(gateway); !checked) return checked;
  return check_challenge(gateway);
}

Result<HelloSpec> hello_of(const GatewayOptions& gateway, const HelloDefaults& defaults,
                           const ServedAuthorities& served) {
  const HelloPlace place{gateway.host, gateway.port, gateway.tls ? Scheme::kHttps : Scheme::kHttp,
                         gateway.server_name};
  auto spec = make_hello_spec(defaults, gateway.hello, place, served);
  if (spec) spec.value().poll_settle_time = gateway.session.http1.settle_time;
  return spec;
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

Result<std::unique_ptr<Profile>> make_profile(const GatewayOptions& gateway,
                                              const ServedAuthorities& served,
                                              const TokenSource* tokens) {
  Result<HelloCredentials> credentials = make_hello_credentials(gateway.auth, tokens);
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
  if (gateway.profile == "ptth-1.0") return with_hello(ptth_1_0_hello(), make_ptth_1_0_profile);
  for (const HelloDefaults& defaults : {ptth_connect_hello(), reverse_connect_hello()}) {
    if (gateway.profile != defaults.profile) continue;
    auto hello = hello_of(gateway, defaults, served);
    if (!hello) return hello.error();
    return make_connect_profile(defaults.profile, std::move(hello).value(),
                                std::move(credentials).value(),
                                {gateway.tunnel_window_bytes, gateway.session, 1});
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

// What would be less secure than others (agent/link/profile_chooser.h), or mean something else with
// each profile.
Result<void> check_auto(const GatewayOptions& gateway) {
  if (!gateway.tls) return wrong("the profile auto is only for TLS: dial https://");
  if (!gateway.alpn.empty() || !gateway.http1_alpn.empty()) {
    return wrong(
        "the profile auto offers the ALPN ids of the profiles that it tries: drop --alpn "
        "and --http1-alpn, or name one with --profile");
  }
  if (gateway.channels_per_connection > 1) {
    return wrong(
        "--channels-per-connection is for ptth-connect and reverse-connect: name one with "
        "--profile instead of auto");
  }
  const HelloOptions& hello = gateway.hello;
  if (!hello.method.empty() || !hello.token.empty() || !hello.offer_field.empty() ||
      !hello.choice_fields.empty() || !hello.statuses.empty()) {
    return wrong(
        "method, token, ALPN fields and statuses of the hello are those of one profile: "
        "name it with --profile instead of auto");
  }
  std::vector<std::string> seen;
  for (const std::string& name : gateway.automatic.profiles) {
    if (name == "envoy" || name == "direct" || name == kAutoProfile) {
      return wrong("auto does not try " + name +
                   ": nothing would show that the gateway means it; name it with --profile");
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return wrong("auto tries " + name + " twice");
    }
    seen.push_back(name);
  }
  return {};
}

Result<ProfileSet> make_auto(const GatewayOptions& gateway, const ServedAuthorities& served,
                             const TokenSource* tokens) {
  if (const auto checked = check_auto(gateway); !checked) return checked.error();
  const std::vector<std::string>& asked = gateway.automatic.profiles;
  std::vector<std::string> names = asked;
  if (names.empty()) names.assign(kAutoOrder.begin(), kAutoOrder.end());
  ProfileSet set;
  for (const std::string& name : names) {
    GatewayOptions one = gateway;
    one.profile = name;
    auto profile = make_profile(one, served, tokens);
    if (profile) {
      set.chosen.push_back(std::move(profile).value());
    } else if (!asked.empty()) {
      return wrong("--auto-profile: " + profile.error().detail);
    } else {
      set.left_out += (set.left_out.empty() ? "" : "; ") + name + ": " + profile.error().detail;
    }
  }
  if (set.chosen.empty()) {
    return wrong("the settings allow none of the profiles of auto: " + set.left_out);
  }
  return set;
}

}  // namespace

Result<ProfileSet> make_profiles(const GatewayOptions& gateway, const ServedAuthorities& served,
                                 const TokenSource* tokens) {
  if (gateway.profile == kAutoProfile) return make_auto(gateway, served, tokens);
  auto profile = make_profile(gateway, served, tokens);
  if (!profile) return profile.error();
  ProfileSet set;
  set.chosen.push_back(std::move(profile).value());
  return set;
}

}  // namespace ptth
